/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope.h"

#include "bytes.h"
#include "cbor_item.h"

/* -- Requests -- */

/* An array of maps that have a context: no input goes deeper. */
enum { IN_DEPTH = 4 };

static const char not_a_request[] =
    "a request is a map of \"op\", \"in\", \"dry_run\" and "
    "\"idempotency_key\"";

static enum hf_err
open_text(struct item_reader *r, const char *name, struct hf_text *out,
    struct hf_why *why)
{
	struct item it;
	enum hf_err err;

	if ((err = item_next(r, &it, why)) != HF_OK)
		return err;
	if (it.kind != ITEM_TEXT)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "\"%s\" must be a text string", name);
	*out = (struct hf_text){ (const char *)it.ptr, (size_t)it.value };
	return HF_OK;
}

static enum hf_err
open_bool(
    struct item_reader *r, const char *name, bool *out, struct hf_why *why)
{
	struct item it;
	enum hf_err err;

	if ((err = item_next(r, &it, why)) != HF_OK)
		return err;
	if (it.kind != ITEM_BOOL)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "\"%s\" must be true or false", name);
	*out = it.value != 0;
	return HF_OK;
}

/* The last pair needs no walk: the decoder of the operation checks where it
 * ends. */
static enum hf_err
open_in(
    struct item_reader *r, bool last, struct hf_bytes *out, struct hf_why *why)
{
	const uint8_t *start = r->p;
	enum hf_err err;

	if (last) {
		*out = bytes_of(r->p, r->left);
		r->left = 0;
		return HF_OK;
	}
	if ((err = item_skip(r, IN_DEPTH, why)) != HF_OK)
		return err;
	*out = bytes_of(start, (size_t)(r->p - start));
	return HF_OK;
}

static enum hf_err
check_idempotency_key(struct hf_text key, struct hf_why *why)
{
	bool good = key.len >= 1 && key.len <= IDEMPOTENCY_KEY_MAX;

	for (size_t i = 0; i < key.len && good; i++)
		good = key.ptr[i] >= ' ' && key.ptr[i] <= '~';
	return good ? HF_OK
		    : hf_fail(why, HF_ERR_BAD_VALUE,
			  "idempotency_key must be 1 to %d printable ASCII "
			  "characters",
			  IDEMPOTENCY_KEY_MAX);
}

/* The parts of a request; each bit of `seen` is one of them. */
enum { PART_OP = 1, PART_IN = 2, PART_DRY_RUN = 4, PART_KEY = 8, PARTS = 4 };

static unsigned
part_of(const struct item *key)
{
	struct hf_text name = { (const char *)key->ptr, (size_t)key->value };

	if (key->kind != ITEM_TEXT)
		return 0;
	return text_is(name, "op")             ? PART_OP
	    : text_is(name, "in")              ? PART_IN
	    : text_is(name, "dry_run")         ? PART_DRY_RUN
	    : text_is(name, "idempotency_key") ? PART_KEY
					       : 0;
}

static enum hf_err
open_pair(struct item_reader *r, unsigned part, bool last, struct envelope *e,
    struct hf_why *why)
{
	struct hf_text *key = &e->options.idempotency_key;
	enum hf_err err;

	if (part == PART_OP)
		return open_text(r, "op", &e->op, why);
	if (part == PART_IN)
		return open_in(r, last, &e->in, why);
	if (part == PART_DRY_RUN)
		return open_bool(r, "dry_run", &e->options.dry_run, why);
	if ((err = open_text(r, "idempotency_key", key, why)) != HF_OK)
		return err;
	return check_idempotency_key(*key, why);
}

enum hf_err
envelope_open(struct hf_bytes message, struct envelope *out, struct hf_why *why)
{
	static const uint8_t empty_map[1] = { 0xa0 };
	struct item_reader r = { message.ptr, message.len };
	struct envelope e = { .in = { empty_map, 1 } };
	unsigned seen = 0;
	struct item it;
	enum hf_err err;
	uint64_t pairs;

	if ((err = item_next(&r, &it, why)) != HF_OK)
		return err;
	if (it.kind != ITEM_MAP || it.value < 1 || it.value > PARTS)
		return hf_fail(why, HF_ERR_BAD_MESSAGE, "%s", not_a_request);
	pairs = it.value;
	for (uint64_t i = 0; i < pairs; i++) {
		unsigned part;

		if ((err = item_next(&r, &it, why)) != HF_OK)
			return err;
		part = part_of(&it);
		if (part == 0 || (seen & part) != 0)
			return hf_fail(
			    why, HF_ERR_BAD_MESSAGE, "%s", not_a_request);
		seen |= part;
		if ((err = open_pair(&r, part, i + 1 == pairs, &e, why)) !=
		    HF_OK)
			return err;
	}
	if (r.left != 0)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "%zu bytes too many after the message", r.left);
	if ((seen & PART_OP) == 0)
		return hf_fail(why, HF_ERR_BAD_MESSAGE, "\"op\" is missing");
	*out = e;
	return HF_OK;
}

enum hf_err
envelope_request_with(struct hf_text op, const struct envelope_options *options,
    const struct schema *schema, const void *in, uint8_t *buf, size_t cap,
    size_t *len)
{
	bool keyed = options->idempotency_key.ptr != NULL;
	struct item_writer w = { buf, cap, 0 };

	item_put_map(&w, 2U + options->dry_run + keyed);
	item_put_text(&w, TEXT("op"));
	item_put_text(&w, op);
	if (options->dry_run) {
		item_put_text(&w, TEXT("dry_run"));
		item_put_bool(&w, true);
	}
	if (keyed) {
		item_put_text(&w, TEXT("idempotency_key"));
		item_put_text(&w, options->idempotency_key);
	}
	item_put_text(&w, TEXT("in"));
	schema_put(&w, schema, in);
	return item_finish(&w, len);
}

enum hf_err
envelope_request(struct hf_text op, const struct schema *schema, const void *in,
    uint8_t *buf, size_t cap, size_t *len)
{
	return envelope_request_with(
	    op, &(struct envelope_options){ 0 }, schema, in, buf, cap, len);
}

/* -- Replies -- */

enum hf_err
envelope_part(struct hf_text part, const struct schema *schema,
    const void *value, uint8_t *buf, size_t cap, size_t *len)
{
	struct item_writer w = { buf, cap, 0 };

	item_put_map(&w, 1);
	item_put_text(&w, part);
	schema_put(&w, schema, value);
	return item_finish(&w, len);
}

enum hf_err
envelope_reply(const struct schema *schema, const void *out, uint8_t *buf,
    size_t cap, size_t *len)
{
	return envelope_part(TEXT("out"), schema, out, buf, cap, len);
}

struct error_body {
	uint64_t code;
	struct hf_text name;
	struct hf_text message;
};

/* clang-format off */
SCHEMA(schema_error, error_body,
	F(error_body, "code",    code,    100, 599, PLAIN | ALWAYS, NULL, "status, as in HTTP"),
	F(error_body, "name",    name,    1, 64, PLAIN, NULL, "name of the error"),
	F(error_body, "message", message, 0, 1024, 0, NULL, "a sentence for a person"));
/* clang-format on */

enum hf_err
envelope_error(
    enum hf_err err, const char *message, uint8_t *buf, size_t cap, size_t *len)
{
	struct error_body body = {
		.code = hf_err_status(err),
		.name = text_of(hf_err_name(err)),
		.message =
		    text_of(message != NULL ? message : hf_err_sentence(err)),
	};

	return envelope_part(TEXT("err"), &schema_error, &body, buf, cap, len);
}

static enum hf_err
bad_reply(struct hf_why *why)
{
	return hf_fail(
	    why, HF_ERR_BAD_REPLY, "%s", hf_err_sentence(HF_ERR_BAD_REPLY));
}

static enum hf_err
open_error(struct hf_bytes in, struct arena *arena, struct hf_why *why)
{
	struct error_body body;
	enum hf_err err = schema_decode_reply(&schema_error, in, arena, &body);

	if (err != HF_OK || body.name.ptr == NULL)
		return bad_reply(why);
	err = hf_err_by_name(body.name.ptr, body.name.len);
	return hf_fail(why, err, "%.*s", (int)body.message.len,
	    body.message.ptr == NULL ? "" : body.message.ptr);
}

/* The one part that a reply is: what it is called, and its map. */
static enum hf_err
reply_part(struct hf_bytes message, struct hf_text *name, struct hf_bytes *map)
{
	struct item_reader r = { message.ptr, message.len };
	struct item head, key;

	if (item_next(&r, &head, NULL) != HF_OK || head.kind != ITEM_MAP ||
	    head.value != 1 || item_next(&r, &key, NULL) != HF_OK ||
	    key.kind != ITEM_TEXT)
		return HF_ERR_BAD_REPLY;
	*name = (struct hf_text){ (const char *)key.ptr, (size_t)key.value };
	*map = bytes_of(r.p, r.left);
	return HF_OK;
}

enum hf_err
envelope_open_part(struct hf_bytes message, struct hf_text part,
    const struct schema *schema, struct arena *arena, void *out)
{
	struct hf_text name;
	struct hf_bytes map;

	if (reply_part(message, &name, &map) != HF_OK ||
	    !text_equal(name, part) ||
	    schema_decode_reply(schema, map, arena, out) != HF_OK)
		return HF_ERR_BAD_REPLY;
	return HF_OK;
}

enum hf_err
envelope_open_reply(struct hf_bytes message, const struct schema *schema,
    struct arena *arena, void *out, struct hf_why *why)
{
	struct hf_text name;
	struct hf_bytes map;

	if (reply_part(message, &name, &map) != HF_OK)
		return bad_reply(why);
	if (text_is(name, "err"))
		return open_error(map, arena, why);
	if (text_is(name, "dry_run"))
		return hf_fail(
		    why, HF_ERR_DRY_RUN, "%s", hf_err_sentence(HF_ERR_DRY_RUN));
	if (!text_is(name, "out") ||
	    schema_decode_reply(schema, map, arena, out) != HF_OK)
		return bad_reply(why);
	return HF_OK;
}
