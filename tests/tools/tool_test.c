/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line tool as a user runs it, against a service that a test
 * plays: what goes over the wire, what comes out, and the exit status.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../lib/buffer.h"
#include "../fake/message.h"
#include "../fake/server.h"

static const char tool[] = TEST_BINARY_DIR "/bin/holdfast";

enum { ARGS = 24 };

struct run {
	int status;
	char *out, *err; /* NUL-terminated */
	size_t out_len;
	struct buffer buffers[2];
};

/* One service for most tests; each sees its own requests. */
static struct server *server;

/* -- Running the tool -- */

/* What the service saw and what a test looks at are ordered by a process in
 * between, which ThreadSanitizer does not see; a lock it does. */
static void
meet_the_service(void)
{
	assert_int_equal(pthread_mutex_lock(&server->lock), 0);
	assert_int_equal(pthread_mutex_unlock(&server->lock), 0);
}

static void
drain(struct run *r, int out, int err)
{
	struct pollfd fds[2] = { { out, POLLIN, 0 }, { err, POLLIN, 0 } };

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		assert_true(poll(fds, 2, 60000) > 0);
		for (size_t i = 0; i < 2; i++) {
			char part[65536];
			ssize_t n;

			if (fds[i].fd < 0 || fds[i].revents == 0)
				continue;
			n = read(fds[i].fd, part, sizeof(part));
			if (n <= 0)
				fds[i].fd = -1;
			else
				assert_int_equal(buffer_add(&r->buffers[i],
						     bytes_of(part, (size_t)n)),
				    HF_OK);
		}
	}
}

static struct run
run_program(
    const char *program, const char *input, size_t len, const char *const *args)
{
	struct run r = { .status = -1 };
	const char *argv[ARGS + 2] = { program };
	int in = memfd_create("input", MFD_CLOEXEC);
	int out[2], err[2], status;
	pid_t pid;

	meet_the_service();
	for (size_t i = 0; args[i] != NULL; i++)
		argv[i + 1] = args[i];
	assert_int_equal(write(in, input, len), len);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(in, 0);
		(void)dup2(out[1], 1);
		(void)dup2(err[1], 2);
		(void)execv(program, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	(void)close(in);
	(void)close(out[1]);
	(void)close(err[1]);
	drain(&r, out[0], err[0]);
	(void)close(out[0]);
	(void)close(err[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	meet_the_service();
	r.status = WIFEXITED(status) ? WEXITSTATUS(status) : 256;
	r.out_len = r.buffers[0].len;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
		    buffer_add(&r.buffers[i], bytes_of("", 1)), HF_OK);
	r.out = (char *)r.buffers[0].ptr;
	r.err = (char *)r.buffers[1].ptr;
	return r;
}

static void
run_free(struct run *r)
{
	buffer_free(&r->buffers[0]);
	buffer_free(&r->buffers[1]);
}

#define RUN(input, ...)                           \
	run_program(tool, (input), strlen(input), \
	    (const char *const[]){ __VA_ARGS__, NULL })

/* Runs, and checks status and the whole output. */
static void
assert_run(struct run r, int status, const char *out)
{
	if (r.status != status || strcmp(r.out, out) != 0)
		fail_msg("status %d, out \"%s\", err \"%s\"", r.status, r.out,
		    r.err);
	run_free(&r);
}

/* Runs, and checks status and that the error says so. */
static void
assert_fails(struct run r, int status, const char *says)
{
	if (r.status != status || strstr(r.err, says) == NULL)
		fail_msg("status %d, out \"%s\", err \"%s\"", r.status, r.out,
		    r.err);
	assert_int_equal(r.out_len, 0);
	run_free(&r);
}

/* -- A service that does as good as nothing, and remembers what it saw -- */

struct seen {
	char op[64];
	char name[140], type[64], format[16];
	char data[4096];
	size_t data_len;
	char extra[4096];
	uint64_t numbers[3];
	enum hf_tri tri;
};

static void
copy_text(char *out, size_t cap, struct hf_text t)
{
	(void)snprintf(
	    out, cap, "%.*s", (int)t.len, t.ptr == NULL ? "" : t.ptr);
}

static void
see_data(struct seen *seen, struct hf_bytes b)
{
	seen->data_len =
	    b.len < sizeof(seen->data) ? b.len : sizeof(seen->data);
	if (b.len > 0)
		memcpy(seen->data, b.ptr, seen->data_len);
}

static void
on_encrypt(struct server_request *r, struct seen *seen)
{
	const struct hf_encrypt_in *in = r->in;
	bool text = text_is(in->format, "text");
	struct hf_encrypt_out out = { .result.key_version = 3,
		.result.ciphertext = text ? bytes_of("vault:v3:AAEC", 13)
					  : bytes_of("\0\0\0\3\n\xff\0", 7) };

	copy_text(seen->name, sizeof(seen->name), in->name);
	copy_text(seen->type, sizeof(seen->type), in->type);
	copy_text(seen->format, sizeof(seen->format), in->format);
	(void)snprintf(seen->extra, sizeof(seen->extra), "%.*s",
	    (int)in->item.associated_data.len,
	    in->item.associated_data.ptr == NULL
		? ""
		: (const char *)in->item.associated_data.ptr);
	see_data(seen, in->item.plaintext);
	server_answer(r, &out);
}

static void
on_decrypt(struct server_request *r, struct seen *seen)
{
	const struct hf_decrypt_in *in = r->in;
	struct hf_decrypt_out out = { .result.key_version = 3,
		.result.plaintext = bytes_of("a\0\n\xff", 4) };

	see_data(seen, in->item.ciphertext);
	server_answer(r, &out);
}

static void
on_verify(struct server_request *r, struct seen *seen)
{
	const struct hf_verify_in *in = r->in;
	bool good =
	    bytes_equal(in->item.signature, bytes_of("vault:v1:good", 13));
	struct hf_verify_out out = { .result.valid =
					 good ? HF_TRUE : HF_FALSE };

	see_data(seen, in->item.signature);
	server_answer(r, &out);
}

static void
on_config(struct server_request *r, struct seen *seen)
{
	const struct hf_key_config_in *in = r->in;
	struct hf_key_version version = { .version = 1,
		.state = TEXT("enabled"),
		.level = TEXT("wrapped"),
		.creation_time = 1700000000,
		.public_key = TEXT("-----BEGIN\nx\n-----END\n") };
	struct hf_key_info out = { .name = TEXT("k"),
		.latest_version = 1,
		.creation_time = 1700000000,
		.keys = &version,
		.keys_count = 1,
		.warning = TEXT("\x1b[31mred\xc2\x9b"
				"0m") };

	seen->numbers[0] = in->min_decryption_version.value;
	seen->numbers[1] = in->min_decryption_version.present;
	seen->numbers[2] = in->primary_version.present;
	seen->tri = in->deletion_allowed;
	server_answer(r, &out);
}

static void
on_datakey(struct server_request *r, struct seen *seen)
{
	struct hf_datakey_out out = {
		.result = { .plaintext = bytes_of("\1\2\3", 3),
		    .ciphertext = bytes_of("vault:v1:AA", 11) }
	};

	(void)seen;
	server_answer(r, &out);
}

static void
on_policy_test(struct server_request *r, struct seen *seen)
{
	const struct hf_policy_test_in *in = r->in;
	struct hf_policy_test_out out = { .reason = TEXT("because") };

	copy_text(seen->type, sizeof(seen->type), in->operation);
	copy_text(seen->name, sizeof(seen->name), in->name);
	seen->extra[0] = '\0';
	for (size_t i = 0; i < in->subjects_count; i++)
		(void)snprintf(seen->extra + strlen(seen->extra),
		    sizeof(seen->extra) - strlen(seen->extra), "%.*s ",
		    (int)in->subjects[i].len, in->subjects[i].ptr);
	out.allowed = strstr(seen->extra, "uid:0 ") != NULL;
	server_answer(r, &out);
}

static void
on_disable(struct server_request *r, struct seen *seen)
{
	const struct hf_version_in *in = r->in;
	struct hf_key_info out = { .name = in->name };

	copy_text(seen->name, sizeof(seen->name), in->name);
	seen->numbers[0] = in->version;
	server_answer(r, &out);
}

static void
on_list(struct server_request *r, struct seen *seen)
{
	const struct hf_list_in *in = r->in;
	struct hf_text names[] = { TEXT("a"), TEXT("b") };
	struct hf_names_out out = { .keys = names, .keys_count = 2 };

	seen->numbers[0] = in->limit;
	server_answer(r, &out);
}

/* Key b went between the list and the question. */
static void
on_retire_report(struct server_request *r, struct seen *seen)
{
	const struct hf_retire_report_in *in = r->in;
	struct hf_retire_version one = { .version = 1,
		.state = TEXT("enabled"),
		.retire = TEXT("yes"),
		.because = TEXT("nothing needs it") };
	struct hf_retire_report_out out = { .name = in->name,
		.type = TEXT("aes256-gcm96"),
		.latest_version = 2,
		.retire_below = 2,
		.versions = &one,
		.versions_count = 1 };

	seen->numbers[0] = in->older_than.value;
	seen->numbers[1] = in->older_than.present;
	if (text_is(in->name, "b"))
		server_refuse(r, HF_ERR_KEY_NOT_FOUND, "no such key");
	else
		server_answer(r, &out);
}

static const struct {
	enum op_id id;
	void (*answer)(struct server_request *, struct seen *);
} answers[] = {
	{ OP_transit_encrypt, on_encrypt },
	{ OP_transit_decrypt, on_decrypt },
	{ OP_transit_verify, on_verify },
	{ OP_transit_datakey_plaintext, on_datakey },
	{ OP_key_config, on_config },
	{ OP_key_version_disable, on_disable },
	{ OP_key_list, on_list },
	{ OP_key_retire_report, on_retire_report },
	{ OP_policy_test, on_policy_test },
};

static enum server_act
play(struct server *s, struct server_request *r)
{
	struct seen *seen = s->ctx;

	if (r->in == NULL) {
		server_refuse(r, r->err, r->why.text);
		return ACT_REPLY;
	}
	(void)snprintf(seen->op, sizeof(seen->op), "%s", r->op->name);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].id == r->op->id) {
			answers[i].answer(r, seen);
			return ACT_REPLY;
		}
	server_refuse(r, HF_ERR_PERMISSION_DENIED, "you may not");
	return ACT_REPLY;
}

static struct seen seen;
static char file[128]; /* in the service's folder, for a test to use */

static int
start(void **state)
{
	(void)state;
	server = server_start(play, &seen);
	(void)snprintf(file, sizeof(file), "%s/file", server->folder);
	return setenv("HOLDFAST_SOCKET", server->path, 1) |
	    unsetenv("HOLDFAST_CONFIG");
}

static int
stop(void **state)
{
	(void)state;
	(void)unlink(file);
	server_free(server);
	return 0;
}

static void
put_file(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
assert_file(const char *path, const void *data, size_t len)
{
	char got[4096];
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	assert_int_equal(fread(got, 1, sizeof(got), f), len);
	(void)fclose(f);
	assert_memory_equal(got, data, len);
}

/* -- Data in and out -- */

static void
encrypts_the_standard_input_to_text(void **state)
{
	(void)state;
	assert_run(RUN("hello", "encrypt", "payments"), 0, "vault:v3:AAEC\n");
	assert_string_equal(seen.name, "payments");
	assert_string_equal(seen.format, "text");
	assert_int_equal(seen.data_len, 5);
	assert_memory_equal(seen.data, "hello", 5);
}

static void
nothing_is_data_too(void **state)
{
	(void)state;
	seen.data_len = 99;
	assert_run(RUN("", "encrypt", "k", "-"), 0, "vault:v3:AAEC\n");
	assert_int_equal(seen.data_len, 0);
}

static void
writes_the_binary_form_byte_for_byte(void **state)
{
	struct run r = RUN("hello", "encrypt", "--binary", "k");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_int_equal(r.out_len, 7);
	assert_memory_equal(r.out, "\0\0\0\3\n\xff\0", 7);
	assert_string_equal(seen.format, "");
	run_free(&r);
}

static void
reads_a_file_and_writes_one_at_once(void **state)
{
	char out[256];
	struct stat st;

	(void)state;
	(void)snprintf(out, sizeof(out), "%s/out", server->folder);
	put_file(file, "x\0y", 3);
	put_file(out, "old", 3);
	assert_run(RUN("", "encrypt", "k", file, "--out", out), 0, "");
	assert_int_equal(seen.data_len, 3);
	assert_file(out, "vault:v3:AAEC\n", 14);
	/* Plaintext that was decrypted is for its owner. */
	assert_run(RUN("vault:v1:x", "decrypt", "k", "--out", out), 0, "");
	assert_file(out, "a\0\n\xff", 4);
	assert_int_equal(stat(out, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* No temporary file is left: only `out` stands in the way of rmdir. */
	assert_int_equal(unlink(out), 0);
	assert_run(RUN("x", "encrypt", "k", "--out", "/dev/null"), 0, "");
}

static void
leaves_the_old_file_when_the_service_refuses(void **state)
{
	(void)state;
	put_file(file, "old", 3);
	assert_fails(
	    RUN("x", "sign", "k", "--out", file), 2, "(permission_denied)");
	assert_file(file, "old", 3);
}

static void
strips_the_newline_of_a_text_ciphertext_only(void **state)
{
	struct run r = RUN("vault:v3:AAEC\n", "decrypt", "k");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_int_equal(r.out_len, 4);
	assert_memory_equal(r.out, "a\0\n\xff", 4);
	assert_int_equal(seen.data_len, 13);
	run_free(&r);
	r = run_program(tool, "\0\0\0\3\n", 5,
	    (const char *const[]){ "decrypt", "k", NULL });
	assert_int_equal(seen.data_len, 5);
	run_free(&r);
}

static void
encodes_data_where_asked_to(void **state)
{
	(void)state;
	assert_run(RUN("vault:v1:x", "decrypt", "k", "--encoding", "hex"), 0,
	    "61000aff\n");
	assert_run(RUN("vault:v1:x", "decrypt", "k", "--encoding=base64"), 0,
	    "YQAK/w==\n");
	assert_fails(RUN("", "decrypt", "k", "--encoding", "x"), 1,
	    "raw, hex or base64");
}

static void
says_the_limit_when_a_file_is_too_large(void **state)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(ftruncate(fd, (64 << 20) + 1), 0);
	(void)close(fd);
	assert_fails(RUN("", "encrypt", "k", file), 1, "67108864 bytes");
	assert_int_equal(truncate(file, 17 << 20), 0);
	assert_fails(RUN("", "encrypt", "k", file), 2, "16 MiB");
	assert_int_equal(truncate(file, 0), 0);
}

static void
shows_a_data_key_with_its_ciphertext(void **state)
{
	(void)state;
	assert_run(RUN("", "datakey", "k"), 0,
	    "plaintext   AQID\nciphertext  vault:v1:AA\n");
}

static void
verify_tells_by_word_and_status(void **state)
{
	(void)state;
	assert_run(RUN("x", "verify", "k", "--signature", "vault:v1:good"), 0,
	    "valid\n");
	assert_run(RUN("x", "verify", "k", "--signature", "vault:v1:bad"), 2,
	    "invalid\n");
	put_file(file, "vault:v1:good\n", 14);
	assert_run(RUN("x", "verify", "k", "--signature", file), 0, "valid\n");
	assert_run(RUN("x", "-o", "json", "verify", "k", "--signature", file),
	    0, "{\"valid\":true}\n");
	assert_fails(RUN("x", "verify", "k", "--signature", "/nonexistent"), 1,
	    "/nonexistent");
}

/* -- Options from the tables -- */

static void
takes_options_by_the_names_of_fields(void **state)
{
	struct run r = RUN("", "key", "config", "k", "--min-decryption-version",
	    "7", "--deletion-allowed=no");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_int_equal(seen.numbers[0], 7);
	assert_int_equal(seen.numbers[1], true);
	assert_int_equal(seen.numbers[2], false);
	assert_int_equal(seen.tri, HF_FALSE);
	run_free(&r);
}

static void
takes_required_fields_in_order_or_as_options(void **state)
{
	struct run r = RUN("", "key", "disable", "k", "4");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_int_equal(seen.numbers[0], 4);
	run_free(&r);
	r = RUN("", "key", "disable", "--version=5", "k");
	assert_int_equal(r.status, 0);
	assert_string_equal(seen.name, "k");
	assert_int_equal(seen.numbers[0], 5);
	run_free(&r);
	assert_fails(RUN("", "key", "disable", "k"), 1, "needs the version");
	assert_fails(RUN("", "key", "disable"), 1, "needs the name");
}

static void
takes_associated_data_as_text_or_from_a_file(void **state)
{
	char at[160];

	(void)state;
	assert_run(RUN("x", "encrypt", "k", "--associated-data", "ctx"), 0,
	    "vault:v3:AAEC\n");
	assert_string_equal(seen.extra, "ctx");
	put_file(file, "from file", 9);
	(void)snprintf(at, sizeof(at), "@%s", file);
	assert_run(RUN("x", "encrypt", "k", "--associated-data", at), 0,
	    "vault:v3:AAEC\n");
	assert_string_equal(seen.extra, "from file");
}

static void
explains_a_wrong_use(void **state)
{
	(void)state;
	assert_fails(
	    RUN("", "encrypt", "k", "--nonsense"), 1, "no option --nonsense");
	/* Secrets are no arguments: others can read those. */
	assert_fails(RUN("", "encrypt", "k", "--plaintext", "x"), 1,
	    "no option --plaintext");
	assert_fails(RUN("", "encrypt", "k", "a", "b"), 1,
	    "'b' is one argument too many");
	assert_fails(RUN("", "key", "disable", "k", "four"), 1,
	    "'four' is not a number");
	assert_fails(RUN("", "key", "disable", "k", "99999999999999999999"), 1,
	    "is not a number");
	assert_fails(RUN("", "key", "config", "k", "--exportable=perhaps"), 1,
	    "is not yes or no");
	assert_fails(RUN("", "key", "config", "k", "--primary-version"), 1,
	    "takes a value");
	assert_fails(RUN("", "-o", "xml", "status"), 1, "json or table");
	assert_fails(RUN("", "--timeout", "0", "status"), 1, "--timeout");
	assert_fails(RUN("", "encrpt", "k"), 1, "did you mean 'encrypt'?");
	assert_fails(
	    RUN("", "key", "craete", "k"), 1, "did you mean 'key create'?");
	assert_fails(RUN("", "key"), 1, "'holdfast help key' shows");
	assert_fails(RUN("", "key", "xyzzy"), 1, "'holdfast help key' shows");
	assert_fails(RUN("", "xyzzy"), 1, "holdfast help");
	assert_fails(run_program(tool, "", 0, (const char *const[]){ NULL }), 1,
	    "which verb?");
}

static void
passes_on_what_the_service_says(void **state)
{
	(void)state;
	assert_fails(RUN("", "status"), 2,
	    "holdfast: you may not (permission_denied)\n");
	assert_fails(RUN("x", "encrypt", "a/b"), 2, "(bad_name)");
	assert_fails(RUN("x", "encrypt", "k", "--type", "des"), 2,
	    "type: must be one of");
}

static void
says_that_nobody_is_there(void **state)
{
	(void)state;
	assert_fails(RUN("", "--socket", "/nonexistent/sock", "status"), 3,
	    "no service listens at /nonexistent/sock (unreachable)");
	assert_fails(RUN("", "status", "--socket=/nonexistent/sock"), 3,
	    "is holdfast-keyd running?");
}

/* -- Output -- */

static void
a_table_is_for_people_and_cannot_speak_to_the_terminal(void **state)
{
	struct run r = RUN("", "key", "config", "k");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "2023-11-14 22:13:20 UTC"));
	assert_non_null(strstr(r.out, "deletion allowed"));
	assert_non_null(strstr(r.out, "VERSION  STATE    LEVEL"));
	assert_non_null(strstr(r.out, "1        enabled  wrapped"));
	assert_non_null(strstr(
	    r.out, "public key of version 1:\n-----BEGIN\nx\n-----END\n"));
	assert_non_null(strstr(r.out, "?[31mred?0m"));
	assert_null(strchr(r.out, '\x1b'));
	run_free(&r);
}

static void
a_list_of_names_is_a_name_a_line(void **state)
{
	(void)state;
	assert_run(RUN("", "key", "list"), 0, "a\nb\n");
	assert_int_equal(seen.numbers[0], 10000);
	assert_run(RUN("", "key", "list", "-o", "json"), 0,
	    "{\"keys\":[\"a\",\"b\"]}\n");
	{
		struct run r = RUN("", "key", "list", "--limit", "2");

		assert_non_null(strstr(r.err, "--after"));
		run_free(&r);
	}
}

/* -- Every verb -- */

/* RFC 8259, strict: returns what follows a value, NULL where it is none. */
static const char *json_value(const char *p);

static const char *
json_string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < ' ')
			return NULL;
		if (*p == '\\' && strchr("\"\\/bfnrtu", *++p) == NULL)
			return NULL;
	}
	return p + 1;
}

static const char *
json_members(const char *p, char end, bool named)
{
	if (*p == end)
		return p + 1;
	for (;;) {
		if (named && ((p = json_string(p)) == NULL || *p++ != ':'))
			return NULL;
		if ((p = json_value(p)) == NULL)
			return NULL;
		if (*p == end)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static const char *
json_value(const char *p)
{
	size_t digits = strspn(p, "0123456789");

	if (*p == '{')
		return json_members(p + 1, '}', true);
	if (*p == '[')
		return json_members(p + 1, ']', false);
	if (*p == '"')
		return json_string(p);
	if (digits > 0)
		return *p == '0' && digits > 1 ? NULL : p + digits;
	if (strncmp(p, "true", 4) == 0)
		return p + 4;
	return strncmp(p, "false", 5) == 0 ? p + 5 : NULL;
}

/* Answers everything with whatever its schema allows. */
static enum server_act
make_up(struct server *s, struct server_request *r)
{
	uint64_t seed = *(const uint64_t *)s->ctx;
	void *out;

	if (r->in == NULL) {
		server_refuse(r, r->err, r->why.text);
		return ACT_REPLY;
	}
	out = message_room(r->arena, r->op->out->size);
	message_fill(r->op->out, r->arena, true, &seed, out);
	server_answer(r, out);
	return ACT_REPLY;
}

/* "key create" and what it needs, as arguments. */
static void
arguments_of(const struct op *op, char words[64], const char **args)
{
	static char version[] = "1", name[] = "name", option[64], choice[64];
	bool data = false;
	size_t n = 0;

	(void)snprintf(words, 64, "%s", op->verb);
	for (char *p = strtok(words, " "); p != NULL; p = strtok(NULL, " "))
		args[n++] = p;
	for (size_t i = 0; i < op->in->count; i++)
		data = data || (op->in->fields[i].flags & DATA) != 0;
	for (size_t i = 0; i < op->in->count; i++) {
		const struct field *f = &op->in->fields[i];

		if ((f->flags & REQUIRED) == 0)
			continue;
		/* Where there is a file, only the name comes without words. */
		if (data && (f->flags & KEYNAME) == 0) {
			(void)snprintf(option, sizeof(option), "--%s", f->name);
			args[n++] = option;
		}
		args[n++] = f->kind == FIELD_UINT ? version : name;
		if (f->values != NULL) {
			(void)snprintf(choice, sizeof(choice), "%.*s",
			    (int)strcspn(f->values, "|"), f->values);
			args[n - 1] = choice;
		}
	}
	args[n] = NULL;
}

static void
every_verb_sends_its_operation_and_shows_the_reply(void **state)
{
	uint64_t seed = 11;
	struct server *s = server_start(make_up, &seed);

	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const char *args[ARGS] = { "--socket", s->path, "-o", "table" };
		char words[64];
		struct run r;

		if (ops[i].verb[0] == '\0' || ops[i].id == OP_policy_test)
			continue;
		arguments_of(&ops[i], words, args + 4);
		r = run_program(tool, "", 0, args);
		if (r.status != 0 && r.status != 2)
			fail_msg("%s: %d %s", ops[i].verb, r.status, r.err);
		assert_int_equal(r.out_len == 0, ops[i].out->count == 0);
		run_free(&r);
		args[3] = "json";
		r = run_program(tool, "", 0, args);
		if (json_value(r.out) == NULL ||
		    strcmp(json_value(r.out), "\n") != 0)
			fail_msg("%s: %s", ops[i].verb, r.out);
		for (size_t k = 0; k < ops[i].out->count; k++) {
			char name[64];

			(void)snprintf(name, sizeof(name),
			    "\"%s\":", ops[i].out->fields[k].name);
			/* A false or a zero may be left out. */
			if (ops[i].out->fields[k].kind != FIELD_UINT &&
			    ops[i].out->fields[k].kind != FIELD_BOOL)
				assert_non_null(strstr(r.out, name));
		}
		run_free(&r);
	}
	server_free(s);
}

static void
import_survives_a_wrapping_key_that_is_none(void **state)
{
	uint64_t seed = 11;
	struct server *s = server_start(make_up, &seed);

	(void)state;
	assert_fails(
	    RUN("0123456789abcdef0123456789abcdef", "--socket", s->path, "key",
		"import", "name", "-", "--type", "aes256-gcm96"),
	    2, "(bad_input)");
	server_free(s);
}

static void
every_verb_explains_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const char *args[ARGS] = { "help" };
		char words[64];
		struct run r;
		size_t n = 1;

		if (ops[i].verb[0] == '\0' || ops[i].id == OP_policy_test)
			continue;
		(void)snprintf(words, sizeof(words), "%s", ops[i].verb);
		for (char *p = strtok(words, " "); p != NULL;
		     p = strtok(NULL, " "))
			args[n++] = p;
		r = run_program(tool, "", 0, args);
		assert_int_equal(r.status, 0);
		assert_non_null(strstr(r.out, ops[i].sentence));
		run_free(&r);
	}
	{
		struct run r = RUN("", "encrypt", "--help");

		assert_int_equal(r.status, 0);
		assert_non_null(strstr(r.out, "usage: holdfast encrypt NAME"));
		assert_non_null(strstr(r.out, "--key-version N"));
		assert_null(strstr(r.out, "--plaintext"));
		assert_null(strstr(r.out, "--batch-input"));
		run_free(&r);
	}
	assert_run(RUN("", "--version"), 0, "holdfast " HOLDFAST_VERSION "\n");
}

/* -- Special verbs -- */

static void
policy_test_asks_about_whom_the_options_describe(void **state)
{
	struct run r = RUN("", "policy", "test", "--uid", "1001", "--unit",
	    "nginx.service", "transit.sign", "web");

	(void)state;
	assert_int_equal(r.status, 2);
	assert_non_null(strstr(r.out, "allowed  no"));
	assert_string_equal(seen.extra, "uid:1001 unit:nginx.service ");
	assert_string_equal(seen.type, "transit.sign");
	assert_string_equal(seen.name, "web");
	run_free(&r);
	assert_run(RUN("", "-o", "json", "policy", "test", "--uid=0",
		       "key rotate", "k"),
	    0,
	    "{\"allowed\":true,\"reason\":\"because\"}"
	    "\n");
	assert_string_equal(seen.type, "key.rotate");
	assert_fails(RUN("", "policy", "test", "transit.sign"), 1, "who?");
	assert_fails(RUN("", "policy", "test", "--uid", "1"), 1, "operation");
}

static const char fake_keyd[] = "#!/bin/sh\nfor i; do echo \"<$i>\"; done\n";

static void
becomes_the_daemon_that_stands_beside_it(void **state)
{
	char copy[200], keyd[200], command[600];
	struct run r;

	(void)state;
	(void)snprintf(copy, sizeof(copy), "%s/holdfast", server->folder);
	(void)snprintf(keyd, sizeof(keyd), "%s/holdfast-keyd", server->folder);
	(void)snprintf(command, sizeof(command), "cp %s %s", tool, copy);
	assert_int_equal(system(command), 0);
	put_file(keyd, fake_keyd, sizeof(fake_keyd) - 1);
	assert_int_equal(chmod(keyd, 0700), 0);
	r = run_program(copy, "", 0,
	    (const char *const[]){
		"hsm", "init", "--uri", "pkcs11:x", "--config", "c", NULL });
	assert_run(
	    r, 0, "<--init>\n<--hsm-uri>\n<pkcs11:x>\n<--config>\n<c>\n");
	r = run_program(
	    copy, "", 0, (const char *const[]){ "backup", "f", NULL });
	assert_run(r, 0, "<--backup>\n<f>\n");
	r = run_program(
	    copy, "", 0, (const char *const[]){ "policy", "check", "d", NULL });
	assert_run(r, 0, "<--check-policy>\n<d>\n");
	r = run_program(copy, "", 0,
	    (const char *const[]){
		"hsm", "probe", "--uri=u", "--pin-source", "fd:3", NULL });
	assert_run(r, 0, "<--probe>\n<--hsm-uri=u>\n<--pin-source>\n<fd:3>\n");
	r = run_program(copy, "", 0,
	    (const char *const[]){
		"--socket", "/nonexistent", "hsm", "probe", NULL });
	assert_run(r, 0, "<--probe>\n");
	/* With a service, it is the service that is asked. */
	r = run_program(
	    copy, "", 0, (const char *const[]){ "hsm", "probe", NULL });
	assert_fails(r, 2, "you may not");
	r = run_program(copy, "", 0, (const char *const[]){ "backup", NULL });
	assert_fails(r, 1, "the file to write");
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(unlink(keyd), 0);
}

static void
audit_verify_needs_a_log_and_a_key(void **state)
{
	char key[160];

	(void)state;
	(void)snprintf(key, sizeof(key), "%s/audit.pub", server->folder);
	assert_fails(RUN("", "audit", "verify"), 1, "which audit log?");
	assert_fails(RUN("", "audit", "verify", file), 1, key);
	put_file(key, "no key", 6);
	assert_fails(
	    RUN("", "audit", "verify", file), 1, "not a public key in PEM");
	assert_fails(RUN("", "audit", "verify", file, "--expect", "3:ab"), 1,
	    "--expect");
	assert_int_equal(unlink(key), 0);
}

/* The logs of the fuzz target's corpus, and the key that signed them. */
static const char audit_key[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYCMVS5iJnGJbpiFQBAaKDvoHx6EG\n"
    "ODjb5pQw7FEkZAspxOjARSsfyhLPNilI/OVDUGSz7SBMYQcDHwI7JGyQig==\n"
    "-----END PUBLIC KEY-----\n";

static void
audit_verify_proves_a_log_and_names_what_is_broken(void **state)
{
	const char *corpus =
	    TEST_SOURCE_DIR "/tests/fuzz/corpus/audit_verify_fuzz";
	char whole[400], edited[400];
	struct run r;

	(void)state;
	(void)snprintf(whole, sizeof(whole), "%s/whole", corpus);
	(void)snprintf(edited, sizeof(edited), "%s/edited", corpus);
	put_file(file, audit_key, sizeof(audit_key) - 1);
	r = RUN("", "audit", "verify", "--key", file, whole);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "whole             yes"));
	assert_non_null(strstr(r.err, "SHA-256 "));
	run_free(&r);
	r = RUN("", "audit", "verify", whole, "--key", file, "-o", "json");
	assert_int_equal(r.status, 0);
	assert_string_equal(json_value(r.out), "\n");
	run_free(&r);
	assert_fails(RUN("", "audit", "verify", "--key", file, edited), 2,
	    "(audit_broken)");
	assert_fails(
	    RUN("", "audit", "verify", "--key", file, whole, "--expect",
		"1000:00000000000000000000000000000000000000000000000"
		"00000000000000000"),
	    2, "(audit_broken)");
}

/* -- What is printed from the tables and kept in the tree -- */

static void
assert_kept(struct run r, const char *path)
{
	FILE *f = fopen(path, "rb");
	char *kept = calloc(1, r.out_len + 2);

	assert_int_equal(r.status, 0);
	assert_non_null(f);
	assert_non_null(kept);
	(void)fread(kept, 1, r.out_len + 1, f);
	(void)fclose(f);
	if (strcmp(kept, r.out) != 0)
		fail_msg("%s is not what the tool prints", path);
	free(kept);
	run_free(&r);
}

static void
the_kept_reference_and_completion_are_up_to_date(void **state)
{
	(void)state;
	assert_kept(
	    RUN("", "reference"), TEST_SOURCE_DIR "/docs/operations.md");
	assert_kept(RUN("", "completion", "bash"),
	    TEST_SOURCE_DIR "/conf/completion/holdfast.bash");
}

static void
the_manual_has_every_verb(void **state)
{
	AUTO_BUFFER text = { 0 };
	char part[4096];
	FILE *f = fopen(TEST_SOURCE_DIR "/docs/man/holdfast.1", "rb");
	size_t n;

	(void)state;
	assert_non_null(f);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		assert_int_equal(buffer_add(&text, bytes_of(part, n)), HF_OK);
	(void)fclose(f);
	assert_int_equal(buffer_add(&text, bytes_of("", 1)), HF_OK);
	for (size_t i = 0; i < ops_count; i++) {
		char item[80];

		(void)snprintf(item, sizeof(item), "\n.It Cm %s", ops[i].verb);
		if (ops[i].verb[0] != '\0' &&
		    strstr((const char *)text.ptr, item) == NULL)
			fail_msg("docs/man/holdfast.1 lacks '%s'", ops[i].verb);
	}
}

static void
assert_completes(const char *line, const char *expected)
{
	char script[1024];
	struct run r;

	(void)snprintf(script, sizeof(script),
	    "PATH=%s/bin:$PATH; source %s/conf/completion/holdfast.bash; "
	    "COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); "
	    "_holdfast; printf '%%s ' \"${COMPREPLY[@]}\"",
	    TEST_BINARY_DIR, TEST_SOURCE_DIR, line);
	r = run_program("/bin/bash", "", 0,
	    (const char *const[]){ "--norc", "-c", script, NULL });
	if (strcmp(r.out, expected) != 0)
		fail_msg("%s: \"%s\" %s", line, r.out, r.err);
	run_free(&r);
}

static void
bash_completes_verbs_options_values_and_names(void **state)
{
	(void)state;
	assert_completes("holdfast enc", "encrypt ");
	assert_completes("holdfast key ro", "rotate ");
	assert_completes("holdfast encrypt --assoc", "--associated-data ");
	assert_completes("holdfast key create --level ''", "wrapped hsm ");
	assert_completes("holdfast encrypt ''", "a b ");
	assert_completes("holdfast -o j", "json ");
}

#define RETIRE(...) RUN("", "key", "retire-report", __VA_ARGS__)

static void
a_retire_report_takes_times_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} good[] = { { "0", 0 }, { "45", 45 }, { "45s", 45 }, { "90m", 5400 },
		{ "12h", 43200 }, { "30d", 2592000 } };
	static const char *const bad[] = { "", "d", "-1", "5x", "5dd", "1.5h",
		"100000001", "99999999999999999999" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct run r = RETIRE("a", "--older-than", good[i].text);

		assert_int_equal(r.status, 0);
		assert_int_equal(seen.numbers[0], good[i].seconds);
		assert_int_equal(seen.numbers[1], true);
		run_free(&r);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(RETIRE("a", "--older-than", bad[i]), 1,
		    "--older-than takes seconds, or a number with s, m, h or "
		    "d behind");
	assert_fails(RETIRE("a", "--older-than"), 1, "--older-than takes");
}

static void
a_retire_report_is_of_one_key_or_of_all(void **state)
{
	struct run r;

	(void)state;
	assert_fails(
	    RETIRE("--older-than", "5"), 1, "which key? NAME, or --all");
	assert_fails(RETIRE("a", "--all"), 1, "which key? NAME, or --all");
	assert_fails(RETIRE("a", "c"), 1, "'c' does not belong here");
	assert_fails(RETIRE("a", "--some"), 1, "'some' does not belong here");
	assert_fails(RETIRE("b"), 2, "no such key");
	r = RETIRE("a");
	assert_int_equal(r.status, 0);
	assert_int_equal(seen.numbers[1], false);
	assert_non_null(strstr(r.out, "nothing needs it"));
	run_free(&r);
	/* One that is not there any more is no reason to tell nothing. */
	r = RETIRE("--all", "-o", "json");
	assert_int_equal(r.status, 0);
	assert_memory_equal(r.out, "{\"keys\":[{\"name\":\"a\",", 21);
	assert_string_equal(r.out + r.out_len - 4, "}]}\n");
	assert_null(strstr(r.out, "\"b\""));
	run_free(&r);
	r = RETIRE("a", "-o", "json");
	assert_memory_equal(r.out, "{\"name\":\"a\",", 12);
	run_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encrypts_the_standard_input_to_text),
		cmocka_unit_test(nothing_is_data_too),
		cmocka_unit_test(writes_the_binary_form_byte_for_byte),
		cmocka_unit_test(reads_a_file_and_writes_one_at_once),
		cmocka_unit_test(leaves_the_old_file_when_the_service_refuses),
		cmocka_unit_test(strips_the_newline_of_a_text_ciphertext_only),
		cmocka_unit_test(encodes_data_where_asked_to),
		cmocka_unit_test(says_the_limit_when_a_file_is_too_large),
		cmocka_unit_test(shows_a_data_key_with_its_ciphertext),
		cmocka_unit_test(verify_tells_by_word_and_status),
		cmocka_unit_test(takes_options_by_the_names_of_fields),
		cmocka_unit_test(takes_required_fields_in_order_or_as_options),
		cmocka_unit_test(takes_associated_data_as_text_or_from_a_file),
		cmocka_unit_test(explains_a_wrong_use),
		cmocka_unit_test(passes_on_what_the_service_says),
		cmocka_unit_test(says_that_nobody_is_there),
		cmocka_unit_test(
		    a_table_is_for_people_and_cannot_speak_to_the_terminal),
		cmocka_unit_test(a_list_of_names_is_a_name_a_line),
		cmocka_unit_test(
		    every_verb_sends_its_operation_and_shows_the_reply),
		cmocka_unit_test(import_survives_a_wrapping_key_that_is_none),
		cmocka_unit_test(every_verb_explains_itself),
		cmocka_unit_test(
		    policy_test_asks_about_whom_the_options_describe),
		cmocka_unit_test(
		    a_retire_report_takes_times_as_people_write_them),
		cmocka_unit_test(a_retire_report_is_of_one_key_or_of_all),
		cmocka_unit_test(becomes_the_daemon_that_stands_beside_it),
		cmocka_unit_test(audit_verify_needs_a_log_and_a_key),
		cmocka_unit_test(
		    audit_verify_proves_a_log_and_names_what_is_broken),
		cmocka_unit_test(
		    the_kept_reference_and_completion_are_up_to_date),
		cmocka_unit_test(the_manual_has_every_verb),
		cmocka_unit_test(bash_completes_verbs_options_values_and_names),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
