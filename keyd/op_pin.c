/* SPDX-License-Identifier: Apache-2.0 */
/* PINs, and logins that prove to know one. */
#include "handlers.h"
#include "pin.h"
#include "server.h"

#include "../lib/bytes.h"

enum hf_err
op_p11_login(struct request *rq, const struct hf_p11_login_in *in,
    struct hf_p11_login_out *out)
{
	uint8_t *login = request_alloc(rq, PIN_LOGIN_MAX);
	size_t len = 0;
	enum hf_err err;

	if (login == NULL)
		return HF_ERR_NO_MEMORY;
	err = pin_login(rq->server->pins, rq->who, in->pin, login, &len);
	out->login = bytes_of(login, len);
	return err;
}

/* Files end in a line feed that nobody types. */
static struct hf_bytes
without_line_feed(struct hf_bytes pin)
{
	if (pin.len > 0 && pin.ptr[pin.len - 1] == '\n')
		pin.len--;
	return pin;
}

enum hf_err
op_pin_set(struct request *rq, const struct hf_pin_in *in, struct hf_empty *out)
{
	struct hf_bytes pin = without_line_feed(in->pin);

	(void)out;
	if (pin.len < 4)
		return hf_fail(&rq->why, HF_ERR_OUT_OF_BOUNDS,
		    "pin: it has fewer than 4 bytes");
	return pin_set(rq->server->pins, in->name, pin, &rq->why);
}

enum hf_err
op_pin_remove(
    struct request *rq, const struct hf_name_in *in, struct hf_empty *out)
{
	(void)out;
	return pin_remove(rq->server->pins, in->name);
}
