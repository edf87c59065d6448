/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypts with nothing of ours: nng carries the message, libcbor writes it.
 * The same can be done in any language that has an nng and a CBOR library.
 *
 * cc example_nng.c -lnng -lcbor -o example_nng
 */
#include <cbor.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cbor_item_t *
text(const char *s)
{
	return cbor_move(cbor_build_string(s));
}

/* {"op": "transit.encrypt", "in": {"name": ..., "plaintext": ..., ...}} */
static size_t
build(const char *key, const char *data, unsigned char **out)
{
	cbor_item_t *in = cbor_new_definite_map(3);
	cbor_item_t *request = cbor_new_definite_map(2);
	cbor_item_t *plaintext =
	    cbor_build_bytestring((const unsigned char *)data, strlen(data));
	size_t len, cap;

	(void)cbor_map_add(in, (struct cbor_pair){ text("name"), text(key) });
	(void)cbor_map_add(
	    in, (struct cbor_pair){ text("plaintext"), cbor_move(plaintext) });
	(void)cbor_map_add(
	    in, (struct cbor_pair){ text("format"), text("text") });
	(void)cbor_map_add(
	    request, (struct cbor_pair){ text("op"), text("transit.encrypt") });
	(void)cbor_map_add(
	    request, (struct cbor_pair){ text("in"), cbor_move(in) });
	len = cbor_serialize_alloc(request, out, &cap);
	cbor_decref(&request);
	return len;
}

/* What a map has under that name; NULL when there is no such thing. */
static cbor_item_t *
member(const cbor_item_t *map, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; map != NULL && i < cbor_map_size(map); i++) {
		struct cbor_pair pair = cbor_map_handle(map)[i];

		if (cbor_string_length(pair.key) == len &&
		    memcmp(cbor_string_handle(pair.key), name, len) == 0)
			return pair.value;
	}
	return NULL;
}

/* {"out": {"ciphertext": ..., "key_version": ...}} or {"err": ...} */
static int
show(const char *reply, size_t len)
{
	struct cbor_load_result result;
	cbor_item_t *map =
	    cbor_load((const unsigned char *)reply, len, &result);
	cbor_item_t *sealed = member(member(map, "out"), "ciphertext");
	cbor_item_t *error = member(member(map, "err"), "message");
	bool done = sealed != NULL;

	if (sealed != NULL)
		(void)printf("%.*s\n", (int)cbor_bytestring_length(sealed),
		    (char *)cbor_bytestring_handle(sealed));
	if (error != NULL)
		(void)fprintf(stderr, "%.*s\n", (int)cbor_string_length(error),
		    (char *)cbor_string_handle(error));
	if (map != NULL)
		cbor_decref(&map);
	return done ? 0 : 1;
}

int
main(int argc, char **argv)
{
	const char *url = argc > 1 ? argv[1] : "ipc:///run/holdfast/keyd.sock";
	unsigned char *request;
	nng_socket socket;
	size_t len = build("payments", "4111 1111 1111 1111", &request);
	char *reply;
	int rc;

	if ((rc = nng_req0_open(&socket)) != 0 ||
	    (rc = nng_dial(socket, url, NULL, 0)) != 0 ||
	    (rc = nng_send(socket, request, len, 0)) != 0 ||
	    (rc = nng_recv(socket, &reply, &len, NNG_FLAG_ALLOC)) != 0) {
		(void)fprintf(stderr, "%s: %s\n", url, nng_strerror(rc));
		return 1;
	}
	rc = show(reply, len);
	nng_free(reply, len);
	free(request);
	(void)nng_close(socket);
	return rc;
}
