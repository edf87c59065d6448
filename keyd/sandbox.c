/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "log.h"
#include "settings.h"

/* -- Landlock (landlock(7)) -- */

/* Newer than the headers of Debian 12. */
#define ACCESS_FS_TRUNCATE (UINT64_C(1) << 14) /* ABI 3 */
#define ACCESS_NET_CONNECT_TCP (UINT64_C(1) << 1)

/* struct landlock_ruleset_attr as of ABI 4. */
struct ruleset {
	uint64_t fs, net;
};

enum {
	ABI_REFER = 2,
	ABI_TRUNCATE = 3,
	ABI_NET = 4,
	SIZE_WITHOUT_NET = sizeof(uint64_t),
};

/* What is written: files, and sockets to listen on. */
#define OWN_FOLDER                                                        \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK)

/* Reading is left to the permissions of the files: what a library reads for
 * names, locales or its configuration is not ours to know. */
#define EVERYWHERE                                                         \
	(OWN_FOLDER | LANDLOCK_ACCESS_FS_EXECUTE |                         \
	    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
	    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
	    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static bool
may_look_into_processes(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = { { 0 } };

	return syscall(SYS_capget, &head, data) == 0 &&
	    (data[0].effective >> CAP_SYS_PTRACE & 1) != 0;
}

static int
ruleset_new(long abi, uint64_t *own)
{
	struct ruleset attr = { .fs = EVERYWHERE };

	*own = OWN_FOLDER;
	if (abi >= ABI_REFER)
		attr.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= ABI_TRUNCATE) {
		attr.fs |= ACCESS_FS_TRUNCATE;
		*own |= ACCESS_FS_TRUNCATE;
	}
	if (abi >= ABI_NET)
		attr.net = ACCESS_NET_CONNECT_TCP;
	return (int)syscall(SYS_landlock_create_ruleset, &attr,
	    abi >= ABI_NET ? sizeof(attr) : SIZE_WITHOUT_NET, 0);
}

static bool
allow_folder(int ruleset, const char *folder, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access,
		.parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) };
	bool ok = rule.parent_fd >= 0 &&
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&rule, 0) == 0;
	int cause = errno;

	fd_close(rule.parent_fd);
	errno = cause;
	return ok;
}

static bool
allow_folder_of(int ruleset, const char *path, uint64_t access)
{
	char *copy;
	bool ok;

	if (path == NULL)
		return true;
	copy = strdup(path); /* dirname(3) writes into it */
	ok = copy != NULL && allow_folder(ruleset, dirname(copy), access);
	free(copy);
	return ok;
}

/* The path of "ipc:///run/x"; NULL for other addresses. */
static const char *
ipc_path(const char *address)
{
	static const char ipc[] = "ipc://";

	return address != NULL && strncmp(address, ipc, sizeof(ipc) - 1) == 0
	    ? address + sizeof(ipc) - 1
	    : NULL;
}

static bool
restrict_files(const struct settings *s, long abi)
{
	uint64_t own;
	int ruleset = ruleset_new(abi, &own);
	bool ok = ruleset >= 0 && allow_folder(ruleset, s->state_dir, own) &&
	    allow_folder_of(ruleset, s->audit.file, own) &&
	    allow_folder_of(ruleset, s->audit.public_key, own) &&
	    allow_folder_of(ruleset, s->transport.socket, own) &&
	    allow_folder_of(ruleset, ipc_path(s->events), own) &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	int cause = errno;

	fd_close(ruleset);
	errno = cause;
	return ok;
}

enum hf_err
sandbox_files(
    const struct settings *settings, enum sandbox_mode mode, struct hf_why *why)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	if (mode == SANDBOX_OFF)
		return HF_OK;
	if (mode == SANDBOX_AUTO && (abi < 1 || may_look_into_processes())) {
		log_info("sandbox: Landlock is not used: %s",
		    abi < 1 ? "the kernel has none"
			    : "callers' programs could not be seen");
		return HF_OK;
	}
	if (abi >= 1 && restrict_files(settings, abi))
		return HF_OK;
	return hf_fail(why, HF_ERR_SYSTEM,
	    "the sandbox for files (Landlock) cannot be had: %s; "
	    "sandbox { files = \"off\" } does without",
	    strerror(errno));
}

/* -- seccomp -- */

/*
 * Measured: what strace saw of the daemon in all end-to-end tests once it was
 * ready, and what of the same families the C library may choose instead on
 * another kernel or machine. tests/e2e/sandbox_test.sh runs under it.
 */
static const int allowed[] = {
	/* files: store, audit log, policies, /proc */
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(pwrite64),
	SCMP_SYS(writev),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	SCMP_SYS(stat),
	SCMP_SYS(fstat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64),
	SCMP_SYS(getcwd),
	SCMP_SYS(fcntl),
	SCMP_SYS(flock),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(chmod),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(fchown),
	SCMP_SYS(umask),
	SCMP_SYS(dup),
	SCMP_SYS(pipe2),
	SCMP_SYS(ioctl),
	SCMP_SYS(fadvise64),
	SCMP_SYS(inotify_init1),
	SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch),

	/* sockets */
	SCMP_SYS(socket),
	SCMP_SYS(connect), /* to the service manager, and nscd */
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(socketpair),

	/* waiting */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(signalfd4),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(futex),
	SCMP_SYS(restart_syscall),

	/* memory and threads */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	SCMP_SYS(membarrier),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler),
	SCMP_SYS(getcpu),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),

	/* the process, its callers and signals */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getgroups),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrusage),
	SCMP_SYS(getrlimit),
	SCMP_SYS(prlimit64),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(prctl), /* names of threads */
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal), /* whether a caller lives: signal 0 */
	SCMP_SYS(kill),              /* the host, at the end */
	SCMP_SYS(tgkill),
	SCMP_SYS(wait4),
	SCMP_SYS(waitid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
};

/* Nobody calls these by mistake. */
static const int deadly[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(bpf),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(mount),
	SCMP_SYS(pivot_root),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
};

/*
 * Threads, but no processes. What clone3(2) is asked for a filter cannot see;
 * the C library takes clone(2) where there is none.
 */
static int
fill_clone(scmp_filter_ctx ctx)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

	return rc != 0 ? rc
		       : seccomp_rule_add(
			     ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int
fill(scmp_filter_ctx ctx)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

	if (rc == 0)
		rc = fill_clone(ctx);

	for (size_t i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]);
	     i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; rc == 0 && i < sizeof(deadly) / sizeof(deadly[0]);
	     i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	return rc;
}

enum hf_err
sandbox_calls(enum sandbox_mode mode, struct hf_why *why)
{
	scmp_filter_ctx ctx;
	int rc = -ENOMEM;

	if (mode == SANDBOX_OFF)
		return HF_OK;
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (ctx != NULL && (rc = fill(ctx)) == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc == 0)
		return HF_OK;
	if (mode == SANDBOX_AUTO) {
		log_warning("sandbox: seccomp is not used: %s", strerror(-rc));
		return HF_OK;
	}
	return hf_fail(why, HF_ERR_SYSTEM,
	    "the sandbox for system calls (seccomp) cannot be had: %s; "
	    "sandbox { calls = \"off\" } does without",
	    strerror(-rc));
}
