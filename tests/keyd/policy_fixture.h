/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_POLICY_FIXTURE_H
#define TESTS_KEYD_POLICY_FIXTURE_H

/* For the tests of policies: a folder of them, and what alice may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/policy.h"
#include "../../lib/bytes.h"
#include "../../lib/ops.h"

#define BIND "bind { subjects = [\"uid:1000\"] }\n"
#define PATH(pattern, caps) \
	"path \"" pattern "\" { capabilities = [" caps "] }\n"

enum {
	C = HF_CAP_CREATE,
	R = HF_CAP_READ,
	U = HF_CAP_UPDATE,
	D = HF_CAP_DELETE,
	L = HF_CAP_LIST,
	S = HF_CAP_SUDO,
};

static const struct identity alice = {
	.local = true, .uid = 1000, .gid = 1000, .pidfd = -1
};
static const struct identity bob = {
	.local = true, .uid = 1001, .gid = 1001, .pidfd = -1
};

struct fixture {
	char dir[32];
	struct policy_store *ps;
	struct policy_grant *grant; /* of alice */
};

static inline int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/policy.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static inline void
put(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_non_null(out = fopen(path, "w"));
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static inline void
clear_folder(const struct fixture *f)
{
	char path[320];
	DIR *dir = opendir(f->dir);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", f->dir, entry->d_name);
		(void)unlink(path);
	}
	(void)closedir(dir);
}

static inline void
shut(struct fixture *f)
{
	policy_grant_free(f->grant);
	policy_close(f->ps);
	f->grant = NULL;
	f->ps = NULL;
}

static inline int
teardown(void **state)
{
	struct fixture *f = *state;

	shut(f);
	clear_folder(f);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static inline void
take_grant(struct fixture *f)
{
	policy_grant_free(f->grant);
	f->grant = NULL;
	assert_int_equal(policy_grant_for(f->ps, &alice, &f->grant), HF_OK);
}

/* Opens the folder as it is, with alice's grant. */
static inline void
start(struct fixture *f)
{
	struct hf_why why = { "" };

	shut(f);
	if (policy_open(f->dir, &f->ps, &why) != HF_OK)
		fail_msg("%s", why.text);
	take_grant(f);
}

/* One policy "p" with this text. */
static inline void
use(void **state, const char *text)
{
	struct fixture *f = *state;

	put(f, "p.hcl", text);
	start(f);
}

static inline bool
may(void **state, const char *path, unsigned caps)
{
	struct fixture *f = *state;

	return policy_check(f->grant, text_of(path), caps, NULL, 0, NULL);
}

static inline bool
may_with(void **state, const char *path, const char *name, const char *value)
{
	struct fixture *f = *state;
	const struct policy_param param = { .name = name,
		.value = text_of(value) };

	return policy_check(f->grant, text_of(path), U, &param, 1, NULL);
}

static inline void
expect_refused(void **state, const char *text, const char *message)
{
	struct fixture *f = *state;
	struct policy_store *ps = NULL;
	struct hf_why why = { "" };

	put(f, "p.hcl", text);
	assert_int_equal(policy_open(f->dir, &ps, &why), HF_ERR_BAD_POLICY);
	assert_null(ps);
	if (strstr(why.text, message) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", why.text, message);
}

#endif
