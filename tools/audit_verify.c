/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast audit verify: the proof that an audit log is whole, offline. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../keyd/audit.h"
#include "../keyd/crypto.h"
#include "../lib/buffer.h"
#include "../lib/bytes.h"
#include "file.h"
#include "option.h"
#include "tool.h"

enum { FILES = 256, PEM_MAX = 16384 };

struct audit_question {
	const char *files[FILES];
	size_t count;
	const char *key;
	struct audit_head expect;
	bool expects;
};

/* Hexadecimal, as in the table of 'audit status', or base64, as in its JSON. */
static bool
parse_hash(struct hf_text text, uint8_t out[32])
{
	enum { BASE64_CHARS = 44 };
	uint8_t decoded[BASE64_CHARS / 4 * 3 + 3];
	size_t len;

	if (hex_decode(text, out, 32))
		return true;
	if (text.len != BASE64_CHARS ||
	    !base64_decode(BASE64_STD, text, decoded, &len) || len != 32)
		return false;
	memcpy(out, decoded, 32);
	return true;
}

static int
parse_expect(struct audit_question *q, const char *s)
{
	char *end = NULL;

	if (s == NULL || *s < '0' || *s > '9')
		return fail_usage("--expect takes SEQUENCE:HASH");
	errno = 0;
	q->expect.sequence = strtoull(s, &end, 10);
	if (errno != 0 || *end != ':' ||
	    !parse_hash(text_of(end + 1), q->expect.hash))
		return fail_usage("--expect takes SEQUENCE:HASH, as 'audit "
				  "status' and 'audit verify' show them");
	q->expects = true;
	return STATUS_OK;
}

static int
parse(struct audit_question *q, int argc, char **argv)
{
	struct options o = { .argc = argc, .argv = argv };
	int status;

	while (options_next(&o)) {
		if (option_is(&o, "key")) {
			q->key = options_value(&o);
			if (q->key == NULL)
				return fail_usage("--key takes a PEM file");
		} else if (option_is(&o, "expect")) {
			status = parse_expect(q, options_value(&o));
			if (status != STATUS_OK)
				return status;
		} else if (o.name != NULL) {
			return fail_usage(
			    "'audit verify' has no option --%s", o.name);
		} else if (q->count == FILES) {
			return fail_usage("more than %d files", FILES);
		} else {
			q->files[q->count++] = o.value;
		}
	}
	return q->count > 0 ? STATUS_OK : fail_usage("which audit log?");
}

/* audit.pub in the folder of the log. */
static int
key_beside(const char *file, char *out, size_t cap)
{
	const char *slash = strrchr(file, '/');
	int dir = slash == NULL ? 0 : (int)(slash - file) + 1;

	if (snprintf(out, cap, "%.*saudit.pub", dir, file) >= (int)cap)
		return fail_usage("%s: the path is too long", file);
	return STATUS_OK;
}

/* The keys of a file, which may be several where there are several HSMs. */
struct keys {
	uint8_t der[AUDIT_KEYS][SPKI_MAX];
	struct hf_bytes spki[AUDIT_KEYS];
	size_t count;
};

/* The PEM of one key, and what comes after it; false: it does not end. */
static bool
pem_split(struct hf_text *rest, struct hf_text *one)
{
	static const char end[] = "-----END PUBLIC KEY-----";
	const char *at = memmem(rest->ptr, rest->len, end, sizeof(end) - 1);

	if (at == NULL)
		return false;
	*one = (struct hf_text){ rest->ptr,
		(size_t)(at - rest->ptr) + sizeof(end) - 1 };
	rest->ptr += one->len;
	rest->len -= one->len;
	while (rest->len > 0 &&
	    (*rest->ptr == '\n' || *rest->ptr == '\r' || *rest->ptr == ' ')) {
		rest->ptr++;
		rest->len--;
	}
	return true;
}

static bool
keys_read(struct hf_text pem, struct keys *out)
{
	struct hf_text one;

	while (pem.len > 0) {
		size_t i = out->count, len;

		if (i == AUDIT_KEYS || !pem_split(&pem, &one) ||
		    crypto_pem_spki(one, out->der[i], SPKI_MAX, &len) != HF_OK)
			return false;
		out->spki[i] = bytes_of(out->der[i], len);
		out->count++;
	}
	return out->count > 0;
}

/* Reads the keys, and says which: they are what the proof rests on. */
static int
read_keys(const struct audit_question *q, struct keys *out)
{
	char beside[4096], print[65];
	const char *path = q->key;
	AUTO_BUFFER pem = { 0 };
	uint8_t digest[32];
	int status;

	if (path == NULL) {
		status =
		    key_beside(q->files[q->count - 1], beside, sizeof(beside));
		if (status != STATUS_OK)
			return status;
		path = beside;
	}
	status = file_read(path, PEM_MAX, &pem);
	if (status != STATUS_OK && q->key == NULL)
		(void)fail_usage("--key names the public key where it is not "
				 "beside the log");
	if (status != STATUS_OK)
		return status;
	if (!keys_read((struct hf_text){ (const char *)pem.ptr, pem.len }, out))
		return fail_usage("%s: not a public key in PEM", path);
	for (size_t i = 0; i < out->count; i++) {
		if (crypto_sha256(out->spki[i], digest) != HF_OK)
			return fail_usage("%s: not a public key", path);
		hex_encode(digest, sizeof(digest), print);
		(void)fprintf(stderr,
		    "holdfast: verifying with the key in %s, "
		    "SHA-256 %s\n",
		    path, print);
	}
	return STATUS_OK;
}

static void
show_table(const struct audit_report *r, const char *head)
{
	(void)printf(
	    "whole             yes\n"
	    "lines             %" PRIu64 ", number %" PRIu64 " to %" PRIu64 "\n"
	    "last line         %s\n"
	    "head              %s\n"
	    "checkpoints       %" PRIu64 ", the last is number %" PRIu64 "\n"
	    "after the last    %" PRIu64 " lines not signed yet\n"
	    "damage noted      %" PRIu64 " lines\n",
	    r->lines, r->first, r->last, r->last_time, head, r->checkpoints,
	    r->last_checkpoint, r->unsigned_lines, r->notes);
}

static int
show(const struct tool *tool, const struct audit_report *r)
{
	char head[65];

	hex_encode(r->head, sizeof(r->head), head);
	if (!tool->json)
		show_table(r, head);
	else
		(void)printf("{\"whole\":true,\"lines\":%" PRIu64
			     ",\"first\":%" PRIu64 ",\"last\":%" PRIu64
			     ",\"head\":\"%s\",\"checkpoints\":%" PRIu64
			     ",\"last_checkpoint\":%" PRIu64
			     ",\"unsigned_lines\":%" PRIu64
			     ",\"notes\":%" PRIu64 "}\n",
		    r->lines, r->first, r->last, head, r->checkpoints,
		    r->last_checkpoint, r->unsigned_lines, r->notes);
	if (r->notes == 0)
		return STATUS_OK;
	(void)fprintf(stderr,
	    "holdfast: what there is hangs together, but the service noted "
	    "damage; 'grep \"damage\"' shows where lines were lost\n");
	return STATUS_DAMAGE;
}

int
audit_verify_run(const struct tool *tool, int argc, char **argv)
{
	struct audit_question q = { .count = 0 };
	struct audit_report report = { .lines = 0 };
	struct keys keys = { .count = 0 };
	struct hf_why why = { "" };
	enum hf_err err;
	int status = parse(&q, argc, argv);

	if (status != STATUS_OK)
		return status;
	if ((err = crypto_init(&why)) != HF_OK)
		return fail_service(err, &why);
	if ((status = read_keys(&q, &keys)) != STATUS_OK)
		return status;
	err = audit_verify(q.files, q.count, keys.spki, keys.count,
	    q.expects ? &q.expect : NULL, &report, &why);
	return err == HF_OK ? show(tool, &report) : fail_service(err, &why);
}
