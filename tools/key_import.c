/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast key import and key import-version: the key is read and wrapped here,
 * for the wrapping key of the service, so that nothing in clear leaves this
 * process.
 */
#include <stdio.h>
#include <string.h>

#include "../keyd/crypto_pkcs8.h"
#include "../keyd/crypto_wrap.h"
#include "../lib/bytes.h"
#include "../lib/client.h"
#include "file.h"
#include "request.h"
#include "result.h"

enum { KEY_FILE_MAX = 16384, WRAPPED_MAX = 16384 };

/*
 * The fields of both operations that hold the key, and the type where it is to
 * be told from the file.
 */
struct target {
	struct hf_text *type;
	struct hf_bytes *ciphertext;
	struct hf_text *public_key;
	struct hf_text *hash_function;
};

/* -- What is in the file -- */

static bool
is_public_pem(struct hf_bytes file)
{
	static const char begin[] = "-----BEGIN PUBLIC KEY-----";

	for (size_t i = 0; i + sizeof(begin) - 1 <= file.len; i++)
		if (memcmp(file.ptr + i, begin, sizeof(begin) - 1) == 0)
			return true;
	return false;
}

static bool
is_pem(struct hf_bytes file)
{
	return text_starts((struct hf_text){ (const char *)file.ptr, file.len },
	    TEXT("-----BEGIN "));
}

/* What type of key it is; leaves `type` alone when nobody could say. */
static void
tell_type(struct hf_bytes pkcs8, struct hf_bytes spki, struct hf_text *type)
{
	for (size_t i = 0; i < key_types_count; i++) {
		const struct key_type *t = &key_types[i];
		struct crypto_key *key = NULL;

		if (key_type_symmetric(t) ||
		    (pkcs8.len > 0 ? crypto_key_private(t, pkcs8, &key)
				   : crypto_key_public(t, spki, &key)) != HF_OK)
			continue;
		crypto_key_free(key);
		*type = text_of(t->name);
		return;
	}
}

static void
tell_public_type(struct hf_text pem, struct hf_text *type)
{
	uint8_t spki[SPKI_MAX];
	size_t len;

	if (crypto_pem_spki(pem, spki, sizeof(spki), &len) == HF_OK)
		tell_type((struct hf_bytes){ 0 }, bytes_of(spki, len), type);
}

/*
 * A private key in any usual form becomes PKCS#8, which says its type where
 * the caller wants to know; other bytes are the key.
 */
static int
read_target(struct hf_bytes file, struct hf_text *type, struct secret *out)
{
	enum hf_err err;

	if (file.len == 0)
		return fail_usage("the file with the key is empty");
	err = crypto_private_read(file, out);
	if (err == HF_OK) {
		if (type != NULL)
			tell_type(
			    secret_view(out), (struct hf_bytes){ 0 }, type);
		return STATUS_OK;
	}
	if (is_pem(file))
		return fail_usage("the file is PEM, but not of a private key "
				  "that is not encrypted, nor of a public key");
	err = secret_copy(out, file);
	return err == HF_OK ? STATUS_OK : fail_service(err, NULL);
}

/* -- Wrapping -- */

static int
wrapping_key(struct hf_client *client, struct crypto_key **out)
{
	struct hf_wrapping_key_out reply;
	struct hf_why why = { "" };
	uint8_t spki[SPKI_MAX];
	size_t len;
	enum hf_err err = hf_transit_wrapping_key(
	    client, &(struct hf_empty){ 0 }, &reply, &why);

	if (err == HF_ERR_PERMISSION_DENIED)
		(void)hf_fail(&why, err,
		    "reading the key to wrap it with (path "
		    "transit/wrapping_key): permission denied");
	if (err != HF_OK)
		return fail_service(err, &why);
	err = crypto_pem_spki(reply.public_key, spki, sizeof(spki), &len);
	if (err == HF_OK)
		err = crypto_key_public(
		    key_type_by_id(KEY_RSA_4096), bytes_of(spki, len), out);
	return err == HF_OK ? STATUS_OK : fail_service(err, NULL);
}

/* `out` takes WRAPPED_MAX bytes. */
static int
wrap(struct hf_client *client, struct hf_bytes file, struct hf_text *type,
    uint8_t *out, size_t *len)
{
	AUTO_SECRET key = { 0 };
	struct crypto_key *wrapping;
	enum hf_err err;
	int status = read_target(file, type, &key);

	if (status != STATUS_OK)
		return status;
	if (CRYPTO_SIGNATURE_MAX + key.len + CRYPTO_KWP_EXTRA > WRAPPED_MAX)
		return fail_usage("the file is too large for a key");
	if ((status = wrapping_key(client, &wrapping)) != STATUS_OK)
		return status;
	err = crypto_rsa_wrap(wrapping, secret_view(&key), out, len);
	crypto_key_free(wrapping);
	return err == HF_OK ? STATUS_OK : fail_service(err, NULL);
}

/* -- The verb -- */

static struct target
target_of(const struct request *r)
{
	if (r->op->id == OP_key_import) {
		struct hf_key_import_in *in = r->in;

		return (struct target){ in->type.ptr == NULL ? &in->type : NULL,
			&in->ciphertext, &in->public_key, &in->hash_function };
	}

	struct hf_key_import_version_in *in = r->in;

	return (struct target){ NULL, &in->ciphertext, &in->public_key,
		&in->hash_function };
}

static int
call_and_show(
    struct hf_client *client, const struct tool *tool, const struct request *r)
{
	struct hf_key_info out;

	return request_call(tool, client, r, &out);
}

static int
import_file(struct hf_client *client, const struct tool *tool,
    const struct request *r, struct hf_bytes file)
{
	struct target t = target_of(r);
	uint8_t blob[WRAPPED_MAX];
	size_t len;
	int status;

	if (is_public_pem(file)) {
		*t.public_key =
		    (struct hf_text){ (const char *)file.ptr, file.len };
		if (t.type != NULL)
			tell_public_type(*t.public_key, t.type);
	} else {
		*t.hash_function = TEXT("SHA256"); /* that of wrap() */
		status = wrap(client, file, t.type, blob, &len);
		if (status != STATUS_OK)
			return status;
		*t.ciphertext = bytes_of(blob, len);
	}
	return call_and_show(client, tool, r);
}

static int
import_request(
    const struct tool *tool, const struct request *r, const char *path)
{
	struct target t = target_of(r);
	AUTO_BUFFER file = { 0 };
	struct hf_why why = { "" };
	struct hf_client *client;
	int status;

	if (r->idempotency_key != NULL)
		return fail_usage("each run wraps the key anew, so that no two "
				  "are the same request; an idempotency key "
				  "is for those who use the library");
	if (t.ciphertext->ptr != NULL || t.public_key->ptr != NULL)
		return fail_usage("the key is in FILE; a key that is wrapped "
				  "already goes through the library");
	if (crypto_init(&why) != HF_OK)
		return fail_service(HF_ERR_CRYPTO, &why);
	if ((status = file_read(path, KEY_FILE_MAX, &file)) != STATUS_OK ||
	    (status = tool_connect(tool, &client)) != STATUS_OK)
		return status;
	status = import_file(client, tool, r, buffer_view(&file));
	hf_close(client);
	return status;
}

/* `words`: the verb, which knows more than its operation. */
static int
import_run(const struct tool *tool, const char *operation, const char *words,
    int argc, char **argv)
{
	struct op op = *op_by_name(text_of(operation));
	struct request r;
	int status;

	if (argc < 2 || argv[0][0] == '-' ||
	    (argv[1][0] == '-' && argv[1][1] != '\0'))
		return fail_usage("'holdfast %s' takes NAME and FILE first; "
				  "'-' is the standard input",
		    words);

	char *path = argv[1];

	/* What is left is the operation with its options. */
	argv[1] = argv[0];
	op.verb = words;
	status = request_parse(&r, &op, argc - 1, argv + 1);
	if (status == STATUS_OK)
		status = import_request(tool, &r, path);
	request_free(&r);
	return status;
}

int
key_import_run(const struct tool *tool, int argc, char **argv)
{
	return import_run(tool, "key.import", "key import", argc, argv);
}

int
key_import_version_run(const struct tool *tool, int argc, char **argv)
{
	return import_run(
	    tool, "key.import_version", "key import-version", argc, argv);
}
