/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../keyd/audit.h"
#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/disk.h"

/* In place of libc's, to count and to fail. */
static atomic_uint syncs;
static atomic_bool sync_fails;
/* While it is held, one sync stays on its way. */
static atomic_bool sync_held;
static sem_t sync_reached, sync_open;

int
fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	if (atomic_exchange(&sync_held, false)) {
		(void)sem_post(&sync_reached);
		(void)sem_wait(&sync_open);
	}
	if (atomic_load(&sync_fails)) {
		errno = EIO;
		return -1;
	}
	return fsync(fd);
}

/* A log in a folder of its own, and what it stands on. */
struct fixture {
	char dir[64], file[128], older[128], pem[128];
	struct audit_settings settings;
	struct audit_backing backing;
	struct audit *audit;
	struct hf_why why;

	struct crypto_key *key;
	uint8_t spki[1024];
	size_t spki_len;
	struct audit_head saved;
	unsigned saves;
	bool hsm_away;
	struct audit_report report;
};

static enum hf_err
backing_sign(void *ctx, const uint8_t digest[32], uint8_t out[64])
{
	struct fixture *f = ctx;
	const struct sign_how how = { .scheme = SIGN_ECDSA,
		.encoding = SIGN_JWS,
		.hash = hash_type_by_name(TEXT("sha2-256")),
		.prehashed = true };
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	size_t len = 0;
	enum hf_err err;

	if (f->hsm_away)
		return HF_ERR_HSM_UNAVAILABLE;
	err = crypto_sign(f->key, &how, bytes_of(digest, 32), signature, &len);
	if (err != HF_OK)
		return err;
	assert_int_equal(len, 64);
	memcpy(out, signature, 64);
	return HF_OK;
}

static enum hf_err
backing_load(void *ctx, struct audit_head *out)
{
	const struct fixture *f = ctx;

	*out = f->saved;
	return HF_OK;
}

static enum hf_err
backing_save(void *ctx, const struct audit_head *head)
{
	struct fixture *f = ctx;

	f->saved = *head;
	f->saves++;
	return HF_OK;
}

static enum hf_err
backing_public_key(void *ctx, uint8_t *out, size_t cap, size_t *len)
{
	const struct fixture *f = ctx;

	*len = 0;
	if (f->hsm_away)
		return HF_OK;
	assert_true(cap >= f->spki_len);
	memcpy(out, f->spki, f->spki_len);
	*len = f->spki_len;
	return HF_OK;
}

static void
new_key(struct fixture *f)
{
	const struct key_type *type = key_type_by_name(TEXT("ecdsa-p256"));
	AUTO_SECRET material = { 0 };

	assert_int_equal(crypto_generate(type, 0, &material), HF_OK);
	assert_int_equal(
	    crypto_key_private(type, secret_view(&material), &f->key), HF_OK);
	assert_int_equal(
	    crypto_key_spki(f->key, f->spki, sizeof(f->spki), &f->spki_len),
	    HF_OK);
}

static void
open_log(struct fixture *f)
{
	assert_int_equal(
	    audit_open(&f->settings, &f->backing, &f->audit, &f->why), HF_OK);
}

static void
close_log(struct fixture *f)
{
	audit_close(f->audit);
	f->audit = NULL;
}

/* As if the process had died: no last line, no last checkpoint. */
static void
crash_log(struct fixture *f)
{
	struct audit_head saved = f->saved;
	struct stat st;
	FILE *file;
	char *copy;

	assert_int_equal(stat(f->file, &st), 0);
	copy = malloc((size_t)st.st_size + 1);
	file = fopen(f->file, "re");
	assert_non_null(file);
	assert_int_equal(fread(copy, 1, (size_t)st.st_size, file), st.st_size);
	(void)fclose(file);
	close_log(f);
	file = fopen(f->file, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(copy, 1, (size_t)st.st_size, file), st.st_size);
	(void)fclose(file);
	free(copy);
	f->saved = saved;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	*state = f;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-audit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->file, sizeof(f->file), "%s/audit.log", f->dir);
	(void)snprintf(f->older, sizeof(f->older), "%s/audit.log.1", f->dir);
	(void)snprintf(f->pem, sizeof(f->pem), "%s/audit.pem", f->dir);
	f->settings = (struct audit_settings){
		.file = f->file, .public_key = f->pem, .checkpoint_lines = 1000
	};
	f->backing = (struct audit_backing){ .ctx = f,
		.sign = backing_sign,
		.load = backing_load,
		.save = backing_save,
		.public_key = backing_public_key };
	memset(f->backing.hash_key, 7, sizeof(f->backing.hash_key));
	new_key(f);
	atomic_store(&syncs, 0);
	open_log(f);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	atomic_store(&sync_fails, false);
	audit_close(f->audit);
	crypto_key_free(f->key);
	disk_remove(f->dir);
	free(f);
	return 0;
}

static enum hf_err
append(struct fixture *f, const char *what, uint64_t *ticket)
{
	char buf[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf), "test");
	audit_line_text(&line, "what", text_of(what));
	return audit_append(f->audit, &line, ticket);
}

static enum hf_err
log_one(struct fixture *f, const char *what, bool sync)
{
	uint64_t ticket = 0;
	enum hf_err err = append(f, what, &ticket);

	return err != HF_OK ? err : audit_flush(f->audit, ticket, sync);
}

static void
log_some(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(log_one(f, "something", false), HF_OK);
}

static enum hf_err
verify_both(struct fixture *f, const char *first, const char *second,
    const struct audit_head *expect)
{
	const char *const files[] = { first, second };
	struct hf_bytes key = bytes_of(f->spki, f->spki_len);

	memset(&f->why, 0, sizeof(f->why));
	return audit_verify(files, second == NULL ? 1 : 2, &key, 1, expect,
	    &f->report, &f->why);
}

static enum hf_err
verify(struct fixture *f)
{
	return verify_both(f, f->file, NULL, NULL);
}

/* The whole file, NUL-terminated. One at a time. */
static char *
contents(const char *path)
{
	static char buf[4 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	assert_true(n >= 0);
	buf[n] = '\0';
	(void)close(fd);
	return buf;
}

static void
replace_contents(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	(void)close(fd);
}

static bool
log_has(struct fixture *f, const char *text)
{
	return strstr(contents(f->file), text) != NULL;
}

/* -- Lines -- */

static void
writes_members_as_json(void **state)
{
	struct fixture *f = *state;
	char buf[512];
	struct audit_line line;

	(void)f;
	audit_line_start(&line, buf, sizeof(buf), "request");
	audit_line_text(&line, "op", TEXT("transit.encrypt"));
	audit_line_uint(&line, "zero", 0);
	audit_line_uint(&line, "most", UINT64_MAX);
	audit_line_bool(&line, "yes", true);
	audit_line_bool(&line, "no", false);
	audit_line_length(&line, "plaintext", 1024);
	assert_false(line.full);
	buf[line.len] = '\0';
	assert_string_equal(buf,
	    "\"type\":\"request\",\"op\":\"transit.encrypt\",\"zero\":0,"
	    "\"most\":18446744073709551615,\"yes\":true,\"no\":false,"
	    "\"plaintext\":{\"len\":1024}");
}

static const char *
escaped(const char *text, size_t len)
{
	static char buf[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf) - 1, "t");
	audit_line_text(&line, "x", (struct hf_text){ text, len });
	buf[line.len - 1] = '\0';
	return buf + sizeof("\"type\":\"t\",\"x\":\"") - 1;
}

/* Every byte at every place among eight that are looked at together. */
static void
escapes_a_byte_wherever_it_stands(void **state)
{
	char text[20], expected[64];

	(void)state;
	for (unsigned byte = 0; byte < 0x80; byte++) {
		bool plain =
		    byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
		char form[8];

		if (plain)
			(void)snprintf(form, sizeof(form), "%c", (int)byte);
		else if (byte == '"' || byte == '\\')
			(void)snprintf(form, sizeof(form), "\\%c", (int)byte);
		else
			(void)snprintf(form, sizeof(form), "\\u%04x", byte);
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'a', sizeof(text));
			text[at] = (char)byte;
			(void)snprintf(expected, sizeof(expected), "%.*s%s%.*s",
			    (int)at, "aaaaaaaaaaaaaaaaaaaaaaaa", form,
			    (int)(sizeof(text) - 1 - at),
			    "aaaaaaaaaaaaaaaaaaaaaaaa");
			assert_string_equal(
			    escaped(text, sizeof(text)), expected);
		}
	}
}

static void
takes_members_from_another_line(void **state)
{
	char buf[64], other[64];
	struct audit_line line, from;
	struct hf_text members;
	size_t len;

	(void)state;
	audit_line_start(&from, other, sizeof(other), "x");
	audit_line_word(&from, "op", TEXT("transit.sign"));
	audit_line_uint(&from, "uid", 7);
	members = (struct hf_text){ other + sizeof("\"type\":\"x\",") - 1,
		from.len - (sizeof("\"type\":\"x\",") - 1) };
	audit_line_start(&line, buf, sizeof(buf), "y");
	audit_line_members(&line, members);
	audit_line_word(&line, "result", TEXT("ok"));
	assert_false(line.full);
	buf[line.len] = '\0';
	assert_string_equal(buf,
	    "\"type\":\"y\",\"op\":\"transit.sign\",\"uid\":7,"
	    "\"result\":\"ok\"");
	len = line.len;
	audit_line_members(&line, members);
	assert_true(line.full);
	assert_int_equal(line.len, len);
	line.full = false;
	audit_line_word(&line, "result", TEXT("not_ok"));
	assert_true(line.full);
	assert_int_equal(line.len, len);
}

static void
escapes_what_json_or_a_terminal_trips_over(void **state)
{
	(void)state;
	assert_string_equal(escaped("plain", 5), "plain");
	assert_string_equal(escaped("", 0), "");
	assert_string_equal(escaped("a\"b\\c/", 6), "a\\\"b\\\\c/");
	assert_string_equal(
	    escaped("\n\t\x1b[0m\x7f", 7), "\\u000a\\u0009\\u001b[0m\\u007f");
	assert_string_equal(escaped("\0x", 2), "\\u0000x");
	assert_string_equal(escaped("gr\xc3\xbc\xc3\x9f\xf0\x9f\x94\x91", 10),
	    "gr\xc3\xbc\xc3\x9f\xf0\x9f\x94\x91");
	assert_string_equal(escaped("\xc2\x9b"
				    "1m",
				4),
	    "\\u009b1m");
	assert_string_equal(
	    escaped("\xc3\xbc\xff", 3), "\\u00c3\\u00bc\\u00ff");
	assert_string_equal(
	    escaped("\xed\xa0\x80", 3), "\\u00ed\\u00a0\\u0080");
	assert_string_equal(escaped("\xc3", 1), "\\u00c3");
}

static void
writes_a_valid_line_whatever_the_bytes(void **state)
{
	struct fixture *f = *state;
	char bytes[3];

	for (unsigned i = 0; i < 256; i++) {
		char buf[128];
		struct audit_line line;
		uint64_t ticket = 0;

		bytes[0] = (char)i;
		bytes[1] = (char)(255 - i);
		bytes[2] = (char)(i * 7);
		audit_line_start(&line, buf, sizeof(buf), "test");
		audit_line_text(&line, "bytes", (struct hf_text){ bytes, 3 });
		assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
		assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	}
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 257);
}

static void
leaves_out_a_member_that_does_not_fit(void **state)
{
	struct fixture *f = *state;
	char buf[48];
	struct audit_line line;
	uint64_t ticket = 0;

	audit_line_start(&line, buf, sizeof(buf), "test");
	audit_line_text(
	    &line, "long", TEXT("far too much for the room that is left here"));
	assert_true(line.full);
	audit_line_uint(&line, "n", 1);
	assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_true(log_has(
	    f, "Z\",\"type\":\"test\",\"n\":1,\"cut\":true,\"prev\":\""));
	assert_int_equal(verify(f), HF_OK);
}

static void
nests_parameters_whatever_their_names(void **state)
{
	struct fixture *f = *state;
	char buf[256];
	struct audit_line line;
	uint64_t ticket = 0;

	audit_line_start(&line, buf, sizeof(buf), "request");
	audit_line_begin(&line, "in");
	audit_line_text(&line, "type", TEXT("aes256-gcm96"));
	audit_line_uint(&line, "seq", 5);
	audit_line_end(&line);
	audit_line_begin(&line, "none");
	audit_line_end(&line);
	audit_line_uint(&line, "n", 1);
	assert_false(line.full);
	buf[line.len] = '\0';
	assert_string_equal(buf,
	    "\"type\":\"request\",\"in\":{\"type\":\"aes256-gcm96\","
	    "\"seq\":5},\"none\":{},\"n\":1");
	assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
}

/* Wherever the room ends, inside or out, what is there is JSON. */
static void
closes_what_is_nested_though_it_does_not_fit(void **state)
{
	struct fixture *f = *state;
	char buf[80];
	const size_t all = strlen("\"type\":\"t\",\"in\":{"
				  "\"type\":\"some type\","
				  "\"seq\":\"some value\"}");

	for (size_t cap = 12; cap <= sizeof(buf); cap++) {
		struct audit_line line;
		uint64_t ticket = 0;

		audit_line_start(&line, buf, cap, "t");
		audit_line_begin(&line, "in");
		audit_line_text(&line, "type", TEXT("some type"));
		audit_line_text(&line, "seq", TEXT("some value"));
		audit_line_end(&line);
		assert_true(line.len <= cap);
		assert_true(line.full == (cap < all));
		assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
		assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
		assert_int_equal(verify(f), HF_OK);
	}
}

static void
hashes_values_with_the_key_of_the_log(void **state)
{
	struct fixture *f = *state;
	char buf[512], again[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	buf[line.len] = '\0';
	assert_non_null(strstr(buf, "\"v\":\"hmac-sha256:"));
	assert_null(strstr(buf, "value"));
	assert_int_equal(
	    line.len, strlen("\"type\":\"t\",\"v\":\"\"") + 12 + 64);

	close_log(f);
	open_log(f);
	audit_line_start(&line, again, sizeof(again), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	again[line.len] = '\0';
	assert_string_equal(buf, again);

	close_log(f);
	f->backing.hash_key[0] ^= 1;
	open_log(f);
	audit_line_start(&line, again, sizeof(again), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	again[line.len] = '\0';
	assert_string_not_equal(buf, again);

	/* And back to the first one while it runs. */
	f->backing.hash_key[0] ^= 1;
	assert_int_equal(
	    audit_set_hash_key(f->audit, f->backing.hash_key), HF_OK);
	audit_line_start(&line, again, sizeof(again), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	again[line.len] = '\0';
	assert_string_equal(buf, again);
}

/* -- The chain -- */

static void
starts_a_private_file_with_a_chain(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	const char *line;

	log_some(f, 3);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	line = contents(f->file);
	assert_int_equal(strncmp(line, "{\"seq\":1,\"time\":\"20", 19), 0);
	assert_non_null(strstr(line,
	    "Z\",\"type\":\"start\",\"version\":\"" HOLDFAST_VERSION
	    "\",\"file\":\"new\",\"prev\":\"0000000000000000"));
	assert_non_null(strstr(line, "\n{\"seq\":4,\"time\":\""));

	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 4);
	assert_int_equal(f->report.first, 1);
	assert_int_equal(f->report.last, 4);
	assert_int_equal(f->report.unsigned_lines, 4);
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(
	    strlen(f->report.last_time), strlen("2026-01-02T03:04:05.123456Z"));

	struct audit_info info;

	audit_info(f->audit, &info);
	assert_int_equal(info.sequence, 4);
	assert_memory_equal(info.head, f->report.head, 32);
	assert_false(info.broken);
}

static void
chains_by_the_hash_of_the_whole_line(void **state)
{
	struct fixture *f = *state;
	const char *text, *second;
	uint8_t hash[32];
	char hex[65];

	log_some(f, 1);
	text = contents(f->file);
	second = strchr(text, '\n') + 1;
	assert_int_equal(
	    crypto_sha256(bytes_of(text, (size_t)(second - text)), hash),
	    HF_OK);
	hex_encode(hash, 32, hex);
	assert_non_null(strstr(second, hex));
}

static void
goes_on_with_the_chain_after_a_restart(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	close_log(f);
	open_log(f);
	log_some(f, 2);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_true(log_has(f, "\"type\":\"stop\""));
	assert_true(log_has(f, "\"file\":\"continued\""));
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(f->report.checkpoints, 1);
	/* start, 3, stop, checkpoint, start, 2 */
	assert_int_equal(f->report.lines, 9);
	assert_int_equal(f->report.unsigned_lines, 3);
}

static void
goes_on_after_a_crash_behind_the_last_checkpoint(void **state)
{
	struct fixture *f = *state;

	f->settings.checkpoint_lines = 2;
	close_log(f);
	open_log(f);
	log_some(f, 3);
	audit_tick(f->audit);
	log_some(f, 30);
	crash_log(f);
	open_log(f);
	log_some(f, 1);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

/* The line that the store remembers is far from both ends. */
static void
finds_the_remembered_line_in_a_large_file(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0;

	f->settings.checkpoint_lines = 1;
	close_log(f);
	open_log(f);
	for (unsigned i = 0; i < 9000; i++) {
		assert_int_equal(append(f, "something", &ticket), HF_OK);
		if (i % 1000 == 0)
			assert_int_equal(
			    audit_flush(f->audit, ticket, false), HF_OK);
		if (i == 4500)
			audit_tick(f->audit);
	}
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_true(f->saved.sequence > 4000 && f->saved.sequence < 5000);
	crash_log(f);
	open_log(f);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 0);
	assert_true(f->report.last > 9000);
}

static void
numbers_checkpoints_on_though_the_store_forgot_one(void **state)
{
	struct fixture *f = *state;
	struct audit_head before;

	f->settings.checkpoint_lines = 1;
	close_log(f);
	before = f->saved;
	open_log(f);
	log_some(f, 1);
	audit_tick(f->audit);
	crash_log(f);
	f->saved = before;
	open_log(f);
	log_some(f, 1);
	audit_tick(f->audit);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(f->report.last_checkpoint, 3);
}

enum { THREADS = 8, LINES = 300 };

struct worker {
	struct fixture *f;
	bool sync;
};

static void *
log_many(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < LINES; i++)
		if (log_one(w->f, "from a thread", w->sync) != HF_OK)
			return NULL;
	return arg;
}

static void
run_threads(struct worker *w)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, log_many, w), 0);
	for (int i = 0; i < 5; i++)
		audit_tick(w->f->audit);
	for (size_t i = 0; i < THREADS; i++) {
		void *result = NULL;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_non_null(result);
	}
}

static void
takes_lines_from_many_threads(void **state)
{
	struct fixture *f = *state;
	struct worker w = { f, false };

	run_threads(&w);
	assert_int_equal(verify(f), HF_OK);
	assert_true(f->report.lines > THREADS * LINES);
}

static void
syncs_for_many_at_once(void **state)
{
	struct fixture *f = *state;
	struct worker w = { f, true };

	run_threads(&w);
	assert_int_equal(verify(f), HF_OK);
	assert_true(f->report.lines > THREADS * LINES);
	assert_true(atomic_load(&syncs) < THREADS * LINES);
}

enum { CROWD = 40 };

struct one {
	struct fixture *f;
	enum hf_err result;
};

static void *
log_synced(void *arg)
{
	struct one *one = arg;

	one->result = log_one(one->f, "of a crowd", true);
	return NULL;
}

/* One thread's sync is on its way, and CROWD more have appended lines that are
 * to be on the disk. */
static void
crowd_up(struct fixture *f, struct one *all, pthread_t *threads)
{
	struct audit_info before, info;

	(void)sem_init(&sync_reached, 0, 0);
	(void)sem_init(&sync_open, 0, 0);
	audit_info(f->audit, &before);
	atomic_store(&syncs, 0);
	atomic_store(&sync_held, true);
	for (size_t i = 0; i <= CROWD; i++) {
		all[i] = (struct one){ f, HF_OK };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, log_synced, &all[i]), 0);
		if (i == 0)
			(void)sem_wait(&sync_reached);
	}
	do {
		(void)sched_yield();
		audit_info(f->audit, &info);
	} while (info.sequence < before.sequence + CROWD + 1);
}

static void
crowd_goes(pthread_t *threads)
{
	(void)sem_post(&sync_open);
	for (size_t i = 0; i <= CROWD; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)sem_destroy(&sync_reached);
	(void)sem_destroy(&sync_open);
}

static void
one_sync_is_for_all_who_wait(void **state)
{
	struct fixture *f = *state;
	struct one all[CROWD + 1];
	pthread_t threads[CROWD + 1];

	crowd_up(f, all, threads);
	crowd_goes(threads);
	for (size_t i = 0; i <= CROWD; i++)
		assert_int_equal(all[i].result, HF_OK);
	/* The one on its way, and one for all the others. */
	assert_int_equal(atomic_load(&syncs), 2);
	assert_int_equal(verify(f), HF_OK);
}

static void
all_who_wait_hear_of_a_failed_sync(void **state)
{
	struct fixture *f = *state;
	struct one all[CROWD + 1];
	pthread_t threads[CROWD + 1];

	crowd_up(f, all, threads);
	atomic_store(&sync_fails, true);
	crowd_goes(threads);
	atomic_store(&sync_fails, false);
	for (size_t i = 0; i <= CROWD; i++)
		assert_int_equal(all[i].result, HF_ERR_AUDIT);
}

static void
syncs_only_when_asked(void **state)
{
	struct fixture *f = *state;

	atomic_store(&syncs, 0);
	log_some(f, 10);
	assert_int_equal(atomic_load(&syncs), 0);
	assert_int_equal(log_one(f, "x", true), HF_OK);
	assert_int_equal(atomic_load(&syncs), 1);

	f->settings.sync_every = true;
	close_log(f);
	open_log(f);
	atomic_store(&syncs, 0);
	log_some(f, 10);
	assert_int_equal(atomic_load(&syncs), 10);
}

static void
refuses_lines_when_the_buffer_is_full(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0, last = 0;
	enum hf_err err;

	while ((err = append(f, "waiting", &ticket)) == HF_OK)
		last = ticket;
	assert_int_equal(err, HF_ERR_AUDIT);
	assert_int_equal(audit_flush(f->audit, last, false), HF_OK);
	assert_int_equal(append(f, "again", &ticket), HF_OK);
	assert_int_equal(ticket, last + 1);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
}

/* -- Lines of a turn -- */

static enum hf_err
collect(struct fixture *f, struct audit_batch *b, const char *what)
{
	char buf[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf), "test");
	audit_line_text(&line, "what", text_of(what));
	return audit_collect(f->audit, b, &line);
}

static void
lines_of_a_turn_join_the_chain_together(void **state)
{
	struct fixture *f = *state;
	static char room[4096];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0;
	const char *text;

	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(ticket, 0);
	assert_int_equal(collect(f, &b, "one"), HF_OK);
	assert_int_equal(collect(f, &b, "two"), HF_OK);
	log_some(f, 1); /* by another thread */
	assert_false(log_has(f, "\"what\":\"one\""));
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(b.len, 0);
	assert_int_equal(ticket, 4);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 4);
	text = contents(f->file);
	assert_non_null(strstr(text, "{\"seq\":3,\"time\":\"20"));
	assert_true(strstr(text, "\"something\"") < strstr(text, "\"one\""));
	assert_true(strstr(text, "\"one\"") < strstr(text, "\"two\""));
}

static void
a_turn_with_more_lines_than_room_loses_none(void **state)
{
	struct fixture *f = *state;
	static char room[400], what[450];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0;

	for (int i = 0; i < 10; i++) {
		(void)snprintf(what, sizeof(what), "line %d", i);
		assert_int_equal(collect(f, &b, what), HF_OK);
	}
	memset(what, 'x', sizeof(what) - 1); /* longer than all the room */
	assert_int_equal(collect(f, &b, what), HF_OK);
	assert_int_equal(collect(f, &b, "last"), HF_OK);
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(ticket, 13);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 13);
	assert_true(strstr(contents(f->file), "line 9") <
	    strstr(contents(f->file), "xxx"));
	assert_true(strstr(contents(f->file), "xxx") <
	    strstr(contents(f->file), "\"last\""));
}

static void
a_turn_whose_lines_do_not_fit_stays_refused(void **state)
{
	struct fixture *f = *state;
	static char room[4096];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0, last = 0;

	assert_int_equal(collect(f, &b, "too late"), HF_OK);
	while (append(f, "waiting", &ticket) == HF_OK)
		last = ticket;
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_ERR_AUDIT);
	assert_int_equal(audit_flush(f->audit, last, false), HF_OK);
	assert_int_equal(collect(f, &b, "after"), HF_OK);
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_ERR_AUDIT);
	b.failed = false; /* all were told */
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"what\":\"after\""));
	assert_false(log_has(f, "\"what\":\"too late\""));
}

static void
refuses_a_log_that_another_writes(void **state)
{
	struct fixture *f = *state;
	struct audit *second = NULL;

	assert_int_equal(
	    audit_open(&f->settings, &f->backing, &second, &f->why),
	    HF_ERR_AUDIT);
	assert_non_null(strstr(f->why.text, "another process"));
}

/* -- Checkpoints -- */

static void
signs_a_checkpoint_every_so_many_lines(void **state)
{
	struct fixture *f = *state;
	unsigned saves;

	f->settings.checkpoint_lines = 5;
	close_log(f);
	open_log(f);
	saves = f->saves;
	log_some(f, 2);
	audit_tick(f->audit);
	assert_int_equal(f->saves, saves);
	log_some(f, 3);
	audit_tick(f->audit);
	audit_tick(f->audit);
	assert_int_equal(f->saves, saves + 1);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.unsigned_lines, 0);
	assert_int_equal(f->report.last, f->saved.sequence);
	assert_int_equal(f->report.last_checkpoint, f->saved.checkpoint);

	struct audit_info info;

	audit_info(f->audit, &info);
	assert_int_equal(info.checkpoint, f->saved.checkpoint);
	assert_int_equal(info.checkpoint_sequence, f->saved.sequence);
}

static void
signs_a_checkpoint_after_some_time(void **state)
{
	struct fixture *f = *state;
	unsigned saves;

	f->settings.checkpoint_seconds = 1;
	close_log(f);
	open_log(f);
	saves = f->saves;
	log_some(f, 1);
	(void)usleep(2100000);
	audit_tick(f->audit);
	assert_int_equal(f->saves, saves + 1);
	(void)usleep(1100000);
	audit_tick(f->audit); /* nothing new, nothing to sign */
	assert_int_equal(f->saves, saves + 1);
}

static void
makes_the_checkpoint_later_when_the_hsm_is_away(void **state)
{
	struct fixture *f = *state;

	f->settings.checkpoint_lines = 1;
	close_log(f);
	assert_int_equal(unlink(f->pem), 0);
	f->hsm_away = true;
	open_log(f);
	log_some(f, 1);
	audit_tick(f->audit);
	assert_int_equal(access(f->pem, F_OK), -1);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.checkpoints, 1);
	f->hsm_away = false;
	audit_tick(f->audit);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.checkpoints, 2);
	assert_non_null(strstr(contents(f->pem), "BEGIN PUBLIC KEY"));
}

/* -- The file -- */

static void
goes_on_in_a_new_file_after_a_rename(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(rename(f->file, f->older), 0);
	assert_int_equal(log_one(f, "still in the old one", false), HF_OK);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 2);

	const char *text = contents(f->file);

	assert_int_equal(strncmp(text, "{\"seq\":6,", 9), 0);
	assert_non_null(
	    strstr(text, "\"type\":\"reopen\",\"reason\":\"asked\""));
	assert_int_equal(verify_both(f, f->older, f->file, &f->saved), HF_OK);
	assert_int_equal(f->report.lines, 8);
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(
	    verify_both(f, f->file, f->older, NULL), HF_ERR_AUDIT_BROKEN);

	/* The newer one alone, too. */
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.first, 6);
	crash_log(f);
	open_log(f);
	assert_int_equal(verify_both(f, f->older, f->file, NULL), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

/* The line that the store remembers is in the older file. */
static void
goes_on_in_a_new_file_that_a_crash_follows(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	close_log(f);
	open_log(f);
	assert_int_equal(rename(f->file, f->older), 0);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 2);
	crash_log(f);
	open_log(f);
	assert_true(log_has(f, "\"file\":\"continued\""));
	assert_int_equal(verify_both(f, f->older, f->file, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

static void
stays_with_a_file_that_was_not_renamed(void **state)
{
	struct fixture *f = *state;

	log_some(f, 1);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	assert_false(log_has(f, "reopen"));
}

static void
notices_that_its_file_was_removed(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(unlink(f->file), 0);
	audit_tick(f->audit);
	log_some(f, 1);
	assert_true(log_has(f, "\"type\":\"damage\",\"found\":\"removed\""));
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.first, 5);
	assert_int_equal(f->report.notes, 1);
}

static void
notices_that_its_file_was_renamed(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(rename(f->file, f->older), 0);
	audit_tick(f->audit);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 1);
	assert_true(log_has(f, "\"type\":\"reopen\",\"reason\":\"renamed\""));
	assert_int_equal(verify_both(f, f->older, f->file, NULL), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

static void
notices_that_its_file_was_cut(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(truncate(f->file, 0), 0);
	audit_tick(f->audit);
	assert_true(log_has(f, "\"type\":\"damage\",\"found\":\"resized\""));
	audit_tick(f->audit);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 1);
}

static void
refuses_while_no_file_can_be_made(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0;
	struct audit_info info;

	log_some(f, 1);
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(mkdir(f->file, 0700), 0);
	audit_tick(f->audit);
	assert_int_equal(append(f, "x", &ticket), HF_ERR_AUDIT);
	audit_info(f->audit, &info);
	assert_true(info.broken);
	assert_int_not_equal(strlen(info.reason), 0);
	assert_int_equal(rmdir(f->file), 0);
	audit_tick(f->audit);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
}

static void
cuts_off_a_torn_line_and_notes_it(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	log_some(f, 2);
	close_log(f);
	file = fopen(f->file, "ae");
	assert_non_null(file);
	(void)fputs("{\"seq\":7,\"time\":\"20", file);
	(void)fclose(file);
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"torn\",\"bytes\":19"));
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 1);
}

/* Where the nth line starts, from 1; its end for one too many. */
static char *
nth_line(char *text, unsigned n)
{
	while (n-- > 1)
		text = strchr(text, '\n') + 1;
	return text;
}

/* What was not synced when the power went may be there in part. */
static void
keeps_a_torn_end_beside_the_log(void **state)
{
	struct fixture *f = *state;
	char aside[sizeof(f->file) + 32];
	char *text, *torn;
	size_t len, rest;

	log_some(f, 2);
	close_log(f);
	open_log(f);
	log_some(f, 3);
	crash_log(f);
	text = contents(f->file);
	len = strlen(text);
	torn = nth_line(text, 8) + 20; /* in the second of the three */
	rest = len - (size_t)(nth_line(text, 8) - text);
	memset(torn, 0, 100);
	replace_contents(f->file, text, len);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"torn\",\"bytes\""));
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 1);
	(void)snprintf(aside, sizeof(aside), "%s.torn-7", f->file);

	struct stat st;

	assert_int_equal(stat(aside, &st), 0);
	assert_int_equal(st.st_size, rest);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
refuses_to_start_when_a_torn_end_cannot_be_kept(void **state)
{
	struct fixture *f = *state;
	char aside[sizeof(f->file) + 32];
	char *text;

	log_some(f, 2);
	crash_log(f);
	text = contents(f->file);
	(void)snprintf(aside, sizeof(aside), "%s.torn-2", f->file);
	assert_int_equal(symlink("/dev/null", aside), 0);
	nth_line(text, 3)[10] ^= 1;
	replace_contents(f->file, text, strlen(text));
	assert_int_equal(
	    audit_open(&f->settings, &f->backing, &f->audit, &f->why),
	    HF_ERR_AUDIT);
	assert_non_null(strstr(f->why.text, "audit.log.torn-2"));
	assert_int_equal(unlink(aside), 0);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"torn\""));
}

static void
notes_that_the_file_is_missing(void **state)
{
	struct fixture *f = *state;

	log_some(f, 2);
	close_log(f);
	assert_int_equal(rename(f->file, f->older), 0);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"missing\",\"expected\":5"));
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.first, 6);
	assert_int_equal(f->report.notes, 1);
	/* Where it was moved away only, the chain over both is whole. */
	assert_int_equal(verify_both(f, f->older, f->file, NULL), HF_OK);
}

static void
notes_that_the_file_is_shorter(void **state)
{
	struct fixture *f = *state;
	char *text;

	log_some(f, 2);
	close_log(f);
	text = contents(f->file);
	replace_contents(f->file, text, (size_t)(nth_line(text, 3) - text));
	open_log(f);
	assert_true(log_has(f, "\"found\":\"shorter\",\"expected\":5"));
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	assert_non_null(strstr(f->why.text, "audit.log:3: "));
	assert_non_null(strstr(f->why.text, "lines are missing"));
}

static void
notes_that_the_file_is_different(void **state)
{
	struct fixture *f = *state;
	char *text, *digit;

	log_some(f, 2);
	close_log(f);
	text = contents(f->file);
	digit = strstr(nth_line(text, 5), "\"time\":\"20") + 10;
	*digit = *digit == '9' ? '8' : '9';
	replace_contents(f->file, text, strlen(text));
	open_log(f);
	assert_true(log_has(f, "\"found\":\"different\",\"expected\":5"));
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
}

/* It would hide what stood before. */
static void
notes_that_a_new_file_lacks_its_beginning(void **state)
{
	struct fixture *f = *state;
	char *text;

	log_some(f, 3);
	close_log(f);
	open_log(f);
	assert_int_equal(rename(f->file, f->older), 0);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 3);
	crash_log(f);
	text = contents(f->file);
	text = nth_line(text, 2);
	replace_contents(f->file, text, strlen(text));
	open_log(f);
	assert_true(log_has(f, "\"found\":\"different\""));
	assert_int_equal(
	    verify_both(f, f->older, f->file, NULL), HF_ERR_AUDIT_BROKEN);
}

/* -- Failure -- */

static void
refuses_on_a_full_disk_and_recovers(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint64_t ticket = 0;
	struct audit_info info;
	const char *text;

	log_some(f, 3);
	assert_int_equal(stat(f->file, &st), 0);
	assert_true(disk_limit((rlim_t)st.st_size + 100)); /* half a line */
	assert_int_equal(log_one(f, "late", false), HF_ERR_AUDIT);
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);
	audit_info(f->audit, &info);
	assert_true(info.broken);
	assert_non_null(strstr(info.reason, "write: "));
	text = contents(f->file);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(verify(f), HF_OK);
	audit_tick(f->audit); /* still full */
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);

	assert_true(disk_limit(RLIM_INFINITY));
	audit_tick(f->audit);
	audit_info(f->audit, &info);
	assert_false(info.broken);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"what\":\"late\""));
	assert_false(log_has(f, "\"what\":\"refused\""));
	assert_true(log_has(f, "\"type\":\"recovered\",\"reason\":\"write: "));
	assert_true(log_has(f, "\"from\":5,\"to\":5,"));
}

/* What was done before the log broke is in there later; nothing more is. */
static void
keeps_the_lines_of_a_turn_in_which_it_broke(void **state)
{
	struct fixture *f = *state;
	static char room[4096];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0;
	struct stat st;

	log_some(f, 3);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(collect(f, &b, "done"), HF_OK);
	assert_true(disk_limit((rlim_t)st.st_size));
	assert_int_equal(log_one(f, "late", false), HF_ERR_AUDIT);
	assert_int_equal(collect(f, &b, "refused"), HF_ERR_AUDIT);
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_ERR_AUDIT);
	assert_true(disk_limit(RLIM_INFINITY));
	audit_tick(f->audit);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"what\":\"done\""));
	assert_false(log_has(f, "\"what\":\"refused\""));
	assert_true(log_has(f, "\"from\":5,\"to\":6,"));
}

static void
recovers_by_a_flush_after_a_second(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint64_t ticket = 0;

	log_some(f, 1);
	assert_int_equal(stat(f->file, &st), 0);
	assert_true(disk_limit((rlim_t)st.st_size));
	assert_int_equal(append(f, "late", &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_ERR_AUDIT);
	assert_true(disk_limit(RLIM_INFINITY));
	(void)usleep(1100000);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
}

static void
refuses_when_the_disk_does_not_sync_and_recovers(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0;

	log_some(f, 3);
	atomic_store(&sync_fails, true);
	assert_int_equal(log_one(f, "unsafe", true), HF_ERR_AUDIT);
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);
	audit_tick(f->audit);
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);
	atomic_store(&sync_fails, false);
	audit_tick(f->audit);
	assert_int_equal(log_one(f, "safe", true), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"reason\":\"fdatasync: "));
	assert_int_equal(f->report.lines, 7);
}

static void
loses_no_acknowledged_line_when_killed(void **state)
{
	struct fixture *f = *state;

	close_log(f);
	for (unsigned round = 0; round < 8; round++) {
		int fds[2], status = 0;
		uint64_t ticket = 0, last = 0;
		pid_t child;

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			open_log(f);
			while (append(f, "numbered", &ticket) == HF_OK &&
			    audit_flush(f->audit, ticket, false) == HF_OK &&
			    write(fds[1], &ticket, sizeof(ticket)) > 0)
				;
			_exit(1);
		}
		(void)close(fds[1]);
		assert_int_equal(
		    read(fds[0], &last, sizeof(last)), sizeof(last));
		(void)usleep(500 + (unsigned)rand() % 5000);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		while (read(fds[0], &ticket, sizeof(ticket)) == sizeof(ticket))
			last = ticket;
		(void)close(fds[0]);
		open_log(f);
		assert_int_equal(verify(f), HF_OK);
		assert_true(f->report.last > last);
		close_log(f);
	}
}

/* -- Verifying -- */

/* Six lines: start, a, b, stop, checkpoint; then start again, unsigned. */
static char *
make_evidence(struct fixture *f)
{
	assert_int_equal(log_one(f, "aaaa", false), HF_OK);
	assert_int_equal(log_one(f, "bbbb", false), HF_OK);
	close_log(f);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 5);
	return contents(f->file);
}

static void
assert_broken(
    struct fixture *f, const char *text, size_t len, const char *where)
{
	replace_contents(f->file, text, len);
	assert_int_equal(
	    verify_both(f, f->file, NULL, &f->saved), HF_ERR_AUDIT_BROKEN);
	if (strstr(f->why.text, where) == NULL)
		fail_msg("%s", f->why.text);
}

static void
finds_every_changed_byte(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += 7) {
		text[i] ^= 1;
		replace_contents(f->file, text, len);
		assert_int_equal(verify_both(f, f->file, NULL, &f->saved),
		    HF_ERR_AUDIT_BROKEN);
		text[i] ^= 1;
	}
	replace_contents(f->file, text, len);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
}

static void
finds_an_edited_value(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);

	memcpy(strstr(text, "aaaa"), "xxxx", 4);
	assert_broken(f, text, strlen(text),
	    ":3: the line before it is not the one that was written");
}

static void
finds_a_deleted_line(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2), *third = nth_line(text, 3);

	memmove(second, third, strlen(third) + 1);
	assert_broken(f, text, strlen(text), ":2: sequence number 3 comes");
}

static void
finds_a_line_that_is_there_twice(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2), *third = nth_line(text, 3);
	static char copy[1 << 16];

	(void)snprintf(
	    copy, sizeof(copy), "%.*s%s", (int)(third - text), text, second);
	assert_broken(f, copy, strlen(copy), ":3: sequence number 2 comes");
}

static void
finds_lines_in_another_order(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2), *third = nth_line(text, 3);
	char *fourth = nth_line(text, 4);
	static char copy[1 << 16];

	(void)snprintf(copy, sizeof(copy), "%.*s%.*s%.*s%s",
	    (int)(second - text), text, (int)(fourth - third), third,
	    (int)(third - second), second, fourth);
	assert_broken(f, copy, strlen(copy), "lines are missing");
}

static void
finds_an_inserted_line(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2);
	static char copy[1 << 16];

	(void)snprintf(copy, sizeof(copy), "%.*s{\"hello\":1}\n%s",
	    (int)(second - text), text, second);
	assert_broken(f, copy, strlen(copy), ":2: it does not start with seq");
	(void)snprintf(copy, sizeof(copy), "%.*snot json\n%s",
	    (int)(second - text), text, second);
	assert_broken(f, copy, strlen(copy), ":2: it is not a JSON object");
	(void)snprintf(
	    copy, sizeof(copy), "%.*s\n%s", (int)(second - text), text, second);
	assert_broken(f, copy, strlen(copy), ":2: it is not a JSON object");
}

static void
finds_a_tail_that_was_cut_off(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);

	assert_broken(
	    f, text, (size_t)(nth_line(text, 5) - text), "its end was cut off");
	assert_broken(f, "", 0, "its end was cut off");
	/* Without the remembered head the first four are a chain. */
	replace_contents(f->file, text, (size_t)(nth_line(text, 5) - text));
	assert_int_equal(verify(f), HF_OK);
}

static void
finds_a_line_that_is_not_complete(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);

	assert_broken(
	    f, text, strlen(text) - 1, ":5: the line is not complete");
}

static void
finds_a_line_that_is_too_long(void **state)
{
	struct fixture *f = *state;
	static char line[3 * AUDIT_LONGEST];

	memset(line, 'x', sizeof(line));
	assert_broken(f, line, sizeof(line), ":1: the line is too long");
	line[AUDIT_LONGEST] = '\n';
	assert_broken(f, line, sizeof(line), ":1: the line is too long");
}

/* Somebody who can compute hashes, but not sign. */
static void
finds_a_chain_that_was_forged(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *line = text;
	uint8_t hash[32] = { 0 };

	memcpy(strstr(text, "aaaa"), "xxxx", 4);
	for (char *next; *line != '\0'; line = next) {
		char hex[65];

		next = strchr(line, '\n') + 1;
		hex_encode(hash, 32, hex);
		memcpy(next - 3 - 64, hex, 64);
		assert_int_equal(
		    crypto_sha256(bytes_of(line, (size_t)(next - line)), hash),
		    HF_OK);
	}
	assert_broken(f, text, strlen(text),
	    ":5: the checkpoint was made over another line 4");
}

static void
finds_a_checkpoint_of_another_key(void **state)
{
	struct fixture *f = *state;

	(void)make_evidence(f);
	crypto_key_free(f->key);
	new_key(f);
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	assert_non_null(strstr(f->why.text, "another key"));
}

static void
finds_a_wrong_signature(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *digit = strstr(text, "\"signature\":\"") + 20;

	*digit = *digit == '0' ? '1' : '0';
	replace_contents(f->file, text, strlen(text));
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	assert_non_null(
	    strstr(f->why.text, ":5: the checkpoint's signature is wrong"));
}

/* One line as a file of its own, with prev as it must be. */
static enum hf_err
verify_line(struct fixture *f, const char *start, const char *end)
{
	static char line[4096];

	(void)snprintf(
	    line, sizeof(line), "%s\"prev\":\"%064d\"%s\n", start, 0, end);
	replace_contents(f->file, line, strlen(line));
	return verify(f);
}

static void
takes_only_its_own_kind_of_json(void **state)
{
	struct fixture *f = *state;
	const char *good = "{\"seq\":1,\"time\":\"t\",\"type\":\"x\",";
	static const char *const bad[] = {
		"{\"seq\":01,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":1.0,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":\"1\",\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":-1,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":18446744073709551616,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\": 1,\"time\":\"t\",\"type\":\"x\",",
		"{\"time\":\"t\",\"seq\":1,\"type\":\"x\",",
		"{\"seq\":1,\"seq\":1,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"type\":\"x\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"\\u0078\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"checkpoint\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",,",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":{\"b\":},",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":\"\\q\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":\"\xff\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":tru,",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":1.,",
		("{\"seq\":1,\"time\":\"t\",\"type\":\"x\","
		 "\"a\":[[[[[[[[[[1]]]]]]]]]],"),
		"[\"seq\":1,\"time\":\"t\",\"type\":\"x\",",
	};

	close_log(f);
	assert_int_equal(verify_line(f, good, "}"), HF_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (verify_line(f, bad[i], "}") != HF_ERR_AUDIT_BROKEN)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(verify_line(f, good, ""), HF_ERR_AUDIT_BROKEN);
	assert_int_equal(verify_line(f, good, "} "), HF_ERR_AUDIT_BROKEN);
	assert_int_equal(
	    verify_line(f, good, ",\"a\":1}"), HF_ERR_AUDIT_BROKEN);
	assert_int_equal(verify_line(f, good, "}{}"), HF_ERR_AUDIT_BROKEN);

	/* Names inside values are not members. */
	assert_int_equal(verify_line(f,
			     "{\"seq\":1,\"time\":\"t\",\"type\":\"x\","
			     "\"a\":{\"seq\":5,\"prev\":\"00\",\"type\":[{}]},"
			     "\"b\":\"\\\",\\\"seq\\\":9\",\"n\":-0.5e+3,"
			     "\"key\":\"payments\",\"hash\":null,",
			     "}"),
	    HF_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_members_as_json),
		TEST(escapes_what_json_or_a_terminal_trips_over),
		TEST(escapes_a_byte_wherever_it_stands),
		TEST(takes_members_from_another_line),
		TEST(writes_a_valid_line_whatever_the_bytes),
		TEST(leaves_out_a_member_that_does_not_fit),
		TEST(nests_parameters_whatever_their_names),
		TEST(closes_what_is_nested_though_it_does_not_fit),
		TEST(hashes_values_with_the_key_of_the_log),
		TEST(starts_a_private_file_with_a_chain),
		TEST(chains_by_the_hash_of_the_whole_line),
		TEST(goes_on_with_the_chain_after_a_restart),
		TEST(goes_on_after_a_crash_behind_the_last_checkpoint),
		TEST(finds_the_remembered_line_in_a_large_file),
		TEST(numbers_checkpoints_on_though_the_store_forgot_one),
		TEST(takes_lines_from_many_threads),
		TEST(syncs_for_many_at_once),
		TEST(one_sync_is_for_all_who_wait),
		TEST(all_who_wait_hear_of_a_failed_sync),
		TEST(syncs_only_when_asked),
		TEST(refuses_lines_when_the_buffer_is_full),
		TEST(lines_of_a_turn_join_the_chain_together),
		TEST(a_turn_with_more_lines_than_room_loses_none),
		TEST(a_turn_whose_lines_do_not_fit_stays_refused),
		TEST(refuses_a_log_that_another_writes),
		TEST(signs_a_checkpoint_every_so_many_lines),
		TEST(signs_a_checkpoint_after_some_time),
		TEST(makes_the_checkpoint_later_when_the_hsm_is_away),
		TEST(goes_on_in_a_new_file_after_a_rename),
		TEST(goes_on_in_a_new_file_that_a_crash_follows),
		TEST(notes_that_a_new_file_lacks_its_beginning),
		TEST(stays_with_a_file_that_was_not_renamed),
		TEST(notices_that_its_file_was_removed),
		TEST(notices_that_its_file_was_renamed),
		TEST(notices_that_its_file_was_cut),
		TEST(refuses_while_no_file_can_be_made),
		TEST(cuts_off_a_torn_line_and_notes_it),
		TEST(keeps_a_torn_end_beside_the_log),
		TEST(refuses_to_start_when_a_torn_end_cannot_be_kept),
		TEST(notes_that_the_file_is_missing),
		TEST(notes_that_the_file_is_shorter),
		TEST(notes_that_the_file_is_different),
		TEST(refuses_on_a_full_disk_and_recovers),
		TEST(keeps_the_lines_of_a_turn_in_which_it_broke),
		TEST(recovers_by_a_flush_after_a_second),
		TEST(refuses_when_the_disk_does_not_sync_and_recovers),
		TEST(loses_no_acknowledged_line_when_killed),
		TEST(finds_every_changed_byte),
		TEST(finds_an_edited_value),
		TEST(finds_a_deleted_line),
		TEST(finds_a_line_that_is_there_twice),
		TEST(finds_lines_in_another_order),
		TEST(finds_an_inserted_line),
		TEST(finds_a_tail_that_was_cut_off),
		TEST(finds_a_line_that_is_not_complete),
		TEST(finds_a_line_that_is_too_long),
		TEST(finds_a_chain_that_was_forged),
		TEST(finds_a_checkpoint_of_another_key),
		TEST(finds_a_wrong_signature),
		TEST(takes_only_its_own_kind_of_json),
	};
	struct hf_why why;

	if (crypto_init(&why) != HF_OK)
		return 1;
	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
