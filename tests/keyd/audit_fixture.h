/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_AUDIT_FIXTURE_H
#define TESTS_KEYD_AUDIT_FIXTURE_H

/* For the tests of the audit log: one in a folder of its own. */
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

static inline enum hf_err
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

static inline enum hf_err
backing_load(void *ctx, struct audit_head *out)
{
	const struct fixture *f = ctx;

	*out = f->saved;
	return HF_OK;
}

static inline enum hf_err
backing_save(void *ctx, const struct audit_head *head)
{
	struct fixture *f = ctx;

	f->saved = *head;
	f->saves++;
	return HF_OK;
}

static inline enum hf_err
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

static inline void
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

static inline void
open_log(struct fixture *f)
{
	assert_int_equal(
	    audit_open(&f->settings, &f->backing, &f->audit, &f->why), HF_OK);
}

static inline void
close_log(struct fixture *f)
{
	audit_close(f->audit);
	f->audit = NULL;
}

/* As if the process had died: no last line, no last checkpoint. */
static inline void
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

/* For cmocka_run_group_tests. */
static inline int
group_setup(void **state)
{
	struct hf_why why;

	(void)state;
	return crypto_init(&why) == HF_OK ? 0 : -1;
}

static inline int
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

static inline int
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

static inline enum hf_err
append(struct fixture *f, const char *what, uint64_t *ticket)
{
	char buf[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf), "test");
	audit_line_text(&line, "what", text_of(what));
	return audit_append(f->audit, &line, ticket);
}

static inline enum hf_err
log_one(struct fixture *f, const char *what, bool sync)
{
	uint64_t ticket = 0;
	enum hf_err err = append(f, what, &ticket);

	return err != HF_OK ? err : audit_flush(f->audit, ticket, sync);
}

static inline void
log_some(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(log_one(f, "something", false), HF_OK);
}

static inline enum hf_err
verify_both(struct fixture *f, const char *first, const char *second,
    const struct audit_head *expect)
{
	const char *const files[] = { first, second };
	struct hf_bytes key = bytes_of(f->spki, f->spki_len);

	memset(&f->why, 0, sizeof(f->why));
	return audit_verify(files, second == NULL ? 1 : 2, &key, 1, expect,
	    &f->report, &f->why);
}

static inline enum hf_err
verify(struct fixture *f)
{
	return verify_both(f, f->file, NULL, NULL);
}

/* The whole file, NUL-terminated. One at a time. */
static inline char *
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

static inline void
replace_contents(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	(void)close(fd);
}

static inline bool
log_has(struct fixture *f, const char *text)
{
	return strstr(contents(f->file), text) != NULL;
}

static inline enum hf_err
collect(struct fixture *f, struct audit_batch *b, const char *what)
{
	char buf[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf), "test");
	audit_line_text(&line, "what", text_of(what));
	return audit_collect(f->audit, b, &line);
}

/* Where the nth line starts, from 1; its end for one too many. */
static inline char *
nth_line(char *text, unsigned n)
{
	while (n-- > 1)
		text = strchr(text, '\n') + 1;
	return text;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
