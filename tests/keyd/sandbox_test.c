/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sandbox forbids, and where it may be left out. It holds for good, so
 * each test asks a process of its own. tests/e2e/sandbox_test.sh shows that the
 * daemon does all of its work in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <seccomp.h>

#include <cmocka.h>

#include "../../keyd/leave.h"
#include "../../keyd/log.h"
#include "../../keyd/sandbox.h"
#include "../../keyd/settings.h"

enum { STATE, AUDIT, SOCKET, EVENTS, OUTSIDE, FOLDERS };

struct place {
	char top[32];
	char folder[FOLDERS][48];
	char audit[64], socket[64], events[64], outside[64];
	struct settings settings;
};

/* In the process that is confined nothing can be told but by its status. */
#define CHECK(truth)                                                    \
	do {                                                            \
		if (!(truth)) {                                         \
			(void)fprintf(stderr, "%d: %s: %s\n", __LINE__, \
			    #truth, strerror(errno));                   \
			leave(1);                                       \
		}                                                       \
	} while (0)

static bool
has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		   LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

/* The status of a process that ran `body`, as waitpid(2) has it. */
static int
status_of(void (*body)(struct place *), struct place *place)
{
	pid_t pid;
	int status;

	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		body(place);
		leave(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
expect_done(void (*body)(struct place *), struct place *place)
{
	assert_int_equal(status_of(body, place), 0);
}

static bool
can_make(const char *folder)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/made", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	return write(fd, "x", 1) == 1 && close(fd) == 0 && unlink(path) == 0;
}

static void
drop_ptrace(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = { { 0 } };

	CHECK(syscall(SYS_capget, &head, data) == 0);
	data[0].effective &= ~(1U << CAP_SYS_PTRACE);
	CHECK(syscall(SYS_capset, &head, data) == 0);
}

/* A kernel that does not have the system call. */
static void
without(int call)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	CHECK(ctx != NULL &&
	    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0 &&
	    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
		SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0)) == 0 &&
	    seccomp_load(ctx) == 0);
	seccomp_release(ctx);
}

/* -- Files -- */

static void
confined_files(struct place *p)
{
	struct hf_why why = { "" };
	char inner[80];
	int fd;

	CHECK(sandbox_files(&p->settings, SANDBOX_ON, &why) == HF_OK);
	CHECK(can_make(p->folder[STATE]) && can_make(p->folder[AUDIT]) &&
	    can_make(p->folder[SOCKET]) && can_make(p->folder[EVENTS]));
	CHECK(!can_make(p->folder[OUTSIDE]) && errno == EACCES);
	CHECK(open(p->outside, O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES);
	CHECK(unlink(p->outside) != 0 && errno == EACCES);
	CHECK((fd = open(p->outside, O_RDONLY | O_CLOEXEC)) >= 0);
	CHECK(close(fd) == 0);
	(void)snprintf(inner, sizeof(inner), "%s/inner", p->folder[STATE]);
	CHECK(mkdir(inner, 0700) != 0 && errno == EACCES);
	CHECK(symlink("/", inner) != 0 && errno == EACCES);
	CHECK(execl("/bin/true", "true", (char *)NULL) != 0 && errno == EACCES);
}

static void
writes_only_in_its_own_folders_and_starts_nothing(void **state)
{
	if (!has_landlock())
		skip();
	expect_done(confined_files, *state);
}

static void
missing_folder(struct place *p)
{
	struct hf_why why = { "" };

	p->settings.state_dir = "/nowhere/at/all";
	CHECK(sandbox_files(&p->settings, SANDBOX_ON, &why) == HF_ERR_SYSTEM);
	CHECK(strstr(why.text, strerror(ENOENT)) != NULL &&
	    strstr(why.text, "files = \"off\"") != NULL);
	CHECK(can_make(p->folder[OUTSIDE]));
}

static void
says_why_files_cannot_be_confined(void **state)
{
	if (!has_landlock())
		skip();
	expect_done(missing_folder, *state);
}

/* Addresses that are no files, and what is not configured, need no folder. */
static void
few_folders(struct place *p)
{
	struct hf_why why = { "" };

	p->settings.audit.file = NULL;
	p->settings.transport.socket = NULL;
	p->settings.events = "tcp://127.0.0.1:5555";
	CHECK(sandbox_files(&p->settings, SANDBOX_ON, &why) == HF_OK);
	CHECK(can_make(p->folder[STATE]));
	CHECK(!can_make(p->folder[AUDIT]) && !can_make(p->folder[EVENTS]));
}

static void
opens_no_folder_that_is_not_configured(void **state)
{
	if (!has_landlock())
		skip();
	expect_done(few_folders, *state);
}

static void
files_off(struct place *p)
{
	struct hf_why why = { "" };

	CHECK(sandbox_files(&p->settings, SANDBOX_OFF, &why) == HF_OK);
	CHECK(can_make(p->folder[OUTSIDE]));
}

static void
leaves_files_alone_when_off(void **state)
{
	expect_done(files_off, *state);
}

static void
auto_with_ptrace(struct place *p)
{
	struct hf_why why = { "" };

	CHECK(sandbox_files(&p->settings, SANDBOX_AUTO, &why) == HF_OK);
	CHECK(can_make(p->folder[OUTSIDE]));
}

static void
auto_without_ptrace(struct place *p)
{
	struct hf_why why = { "" };

	drop_ptrace();
	CHECK(sandbox_files(&p->settings, SANDBOX_AUTO, &why) == HF_OK);
	CHECK(can_make(p->folder[STATE]));
	CHECK(!can_make(p->folder[OUTSIDE]) && errno == EACCES);
}

static void
auto_confines_files_unless_it_may_look_into_processes(void **state)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (!has_landlock())
		skip();
	expect_done(auto_without_ptrace, *state);
	assert_int_equal(syscall(SYS_capget, &head, data), 0);
	if ((data[0].effective >> CAP_SYS_PTRACE & 1) != 0)
		expect_done(auto_with_ptrace, *state);
}

static void
old_kernel_files(struct place *p)
{
	struct hf_why why = { "" };

	drop_ptrace();
	without(SCMP_SYS(landlock_create_ruleset));
	CHECK(sandbox_files(&p->settings, SANDBOX_AUTO, &why) == HF_OK);
	CHECK(can_make(p->folder[OUTSIDE]));
	CHECK(sandbox_files(&p->settings, SANDBOX_ON, &why) == HF_ERR_SYSTEM);
	CHECK(strstr(why.text, "Landlock") != NULL);
}

static void
auto_does_without_landlock_and_on_does_not(void **state)
{
	expect_done(old_kernel_files, *state);
}

/* -- System calls -- */

static void *
thread(void *ctx)
{
	*(bool *)ctx = true;
	return NULL;
}

static void
confined_calls(struct place *p)
{
	struct hf_why why = { "" };
	bool ran = false;
	pthread_t t;

	CHECK(sandbox_calls(SANDBOX_ON, &why) == HF_OK);
	CHECK(can_make(p->folder[OUTSIDE])); /* files are Landlock's */
	CHECK(pthread_create(&t, NULL, thread, &ran) == 0);
	CHECK(pthread_join(t, NULL) == 0 && ran);
	CHECK(fork() < 0 && errno == EPERM);
	CHECK(mkdir(p->folder[OUTSIDE], 0700) != 0 && errno == EPERM);
	CHECK(setuid(getuid()) != 0 && errno == EPERM);
	CHECK(symlink("/", p->outside) != 0 && errno == EPERM);
}

static void
makes_threads_but_no_processes(void **state)
{
	expect_done(confined_calls, *state);
}

static void
start_program(struct place *p)
{
	struct hf_why why = { "" };

	(void)p;
	CHECK(sandbox_calls(SANDBOX_AUTO, &why) == HF_OK);
	(void)execl("/bin/true", "true", (char *)NULL);
}

static void
look_into_process(struct place *p)
{
	struct hf_why why = { "" };

	(void)p;
	CHECK(sandbox_calls(SANDBOX_ON, &why) == HF_OK);
	(void)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void
ends_a_process_that_does_what_nobody_does_by_mistake(void **state)
{
	int status = status_of(start_program, *state);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	status = status_of(look_into_process, *state);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void
calls_off(struct place *p)
{
	struct hf_why why = { "" };

	CHECK(sandbox_calls(SANDBOX_OFF, &why) == HF_OK);
	CHECK(rmdir(p->folder[EVENTS]) == 0);
	CHECK(mkdir(p->folder[EVENTS], 0700) == 0);
}

static void
leaves_calls_alone_when_off(void **state)
{
	expect_done(calls_off, *state);
}

static void
old_kernel_calls(struct place *p)
{
	struct hf_why why = { "" };

	without(SCMP_SYS(seccomp));
	CHECK(sandbox_calls(SANDBOX_AUTO, &why) == HF_OK);
	CHECK(rmdir(p->folder[EVENTS]) == 0);
	CHECK(mkdir(p->folder[EVENTS], 0700) == 0);
	CHECK(sandbox_calls(SANDBOX_ON, &why) == HF_ERR_SYSTEM);
	CHECK(strstr(why.text, "calls = \"off\"") != NULL);
}

static void
auto_does_without_seccomp_and_on_does_not(void **state)
{
	expect_done(old_kernel_calls, *state);
}

/* -- The folders -- */

static int
setup(void **state)
{
	static const char *const names[FOLDERS] = { "state", "audit", "socket",
		"events", "outside" };
	struct place *p = calloc(1, sizeof(*p));
	char top[sizeof(p->top)] = "/tmp/sandbox_test.XXXXXX";
	FILE *f;

	assert_non_null(p);
	log_set_level(LOG_LEVEL_ERROR);
	assert_non_null(mkdtemp(top));
	memcpy(p->top, top, sizeof(top));
	for (int i = 0; i < FOLDERS; i++) {
		(void)snprintf(
		    p->folder[i], sizeof(p->folder[i]), "%s/%s", top, names[i]);
		assert_int_equal(mkdir(p->folder[i], 0700), 0);
	}
	(void)snprintf(p->audit, sizeof(p->audit), "%s/l", p->folder[AUDIT]);
	(void)snprintf(p->socket, sizeof(p->socket), "%s/s", p->folder[SOCKET]);
	(void)snprintf(
	    p->events, sizeof(p->events), "ipc://%s/e", p->folder[EVENTS]);
	(void)snprintf(
	    p->outside, sizeof(p->outside), "%s/victim", p->folder[OUTSIDE]);
	assert_non_null(f = fopen(p->outside, "w"));
	assert_int_equal(fclose(f), 0);
	p->settings.state_dir = p->folder[STATE];
	p->settings.audit.file = p->audit;
	p->settings.transport.socket = p->socket;
	p->settings.events = p->events;
	/* Where a build for coverage writes what was run. */
	p->settings.audit.public_key = TEST_BINARY_DIR "/audit.pub";
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	assert_int_equal(unlink(p->outside), 0);
	for (int i = 0; i < FOLDERS; i++)
		assert_int_equal(rmdir(p->folder[i]), 0);
	assert_int_equal(rmdir(p->top), 0);
	free(p);
	return 0;
}

#define confined(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		confined(writes_only_in_its_own_folders_and_starts_nothing),
		confined(says_why_files_cannot_be_confined),
		confined(opens_no_folder_that_is_not_configured),
		confined(leaves_files_alone_when_off),
		confined(auto_confines_files_unless_it_may_look_into_processes),
		confined(auto_does_without_landlock_and_on_does_not),
		confined(makes_threads_but_no_processes),
		confined(ends_a_process_that_does_what_nobody_does_by_mistake),
		confined(leaves_calls_alone_when_off),
		confined(auto_does_without_seccomp_and_on_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
