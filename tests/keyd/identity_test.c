/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/identity.h"
#include "../../keyd/identity_known.h"
#include "../../keyd/identity_proc.h"
#include "../../lib/bytes.h"

enum { STRANGER = 54321 };

struct fixture {
	char dir[32];
	struct sockaddr_un addr;
	int listener;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/identity.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	f->addr.sun_family = AF_UNIX;
	(void)snprintf(
	    f->addr.sun_path, sizeof(f->addr.sun_path), "%s/s", f->dir);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->listener >= 0);
	assert_int_equal(
	    bind(f->listener, (struct sockaddr *)&f->addr, sizeof(f->addr)), 0);
	assert_int_equal(chmod(f->addr.sun_path, 0666), 0);
	assert_int_equal(listen(f->listener, 5), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	static const char *const copies[] = { "1", "2" };
	char path[64];

	(void)close(f->listener);
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, copies[i]);
		(void)unlink(path);
	}
	(void)unlink(f->addr.sun_path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* In the child: connects, or ends the process. */
static int
dial(const struct fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&f->addr, sizeof(f->addr)) !=
		0)
		_exit(100);
	return fd;
}

/* A child that connects and then waits until the other end is closed. */
static pid_t
start_client(const struct fixture *f)
{
	pid_t pid = fork();
	char c;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	_exit(read(dial(f), &c, 1) == 0 ? 0 : 1);
}

static void
reap(pid_t pid, int fd)
{
	int status;

	(void)close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
take(const struct fixture *f)
{
	int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void
tells_uid_gid_groups_and_pid_of_a_client(void **state)
{
	const struct fixture *f = *state;
	pid_t pid = start_client(f);
	int fd = take(f);
	struct identity *id = NULL;
	gid_t groups[IDENTITY_GROUPS];
	int count = getgroups(IDENTITY_GROUPS, groups);

	assert_int_equal(identity_of_socket(NULL, fd, &id), HF_OK);
	assert_true(id->local);
	assert_int_equal(id->uid, geteuid());
	assert_int_equal(id->gid, getegid());
	assert_int_equal(id->pid, pid);
	assert_true(id->pidfd >= 0);
	assert_int_equal(id->group_count, count);
	assert_memory_equal(
	    id->groups, groups, (size_t)count * sizeof(groups[0]));
	assert_null(id->cert);
	identity_free(id);
	reap(pid, fd);
}

static void
tells_the_program_of_a_client(void **state)
{
	const struct fixture *f = *state;
	pid_t pid = start_client(f);
	int fd = take(f);
	struct identity *id = NULL;
	char self[512] = "";
	char label[600];
	struct stat st;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(stat(self, &st), 0);
	assert_int_equal(identity_of_socket(NULL, fd, &id), HF_OK);
	assert_string_equal(id->exe, self);
	assert_int_equal(id->exe_dev, st.st_dev);
	assert_int_equal(id->exe_ino, st.st_ino);
	(void)snprintf(label, sizeof(label), "uid=%u pid=%d", geteuid(), pid);
	assert_memory_equal(id->label, label, strlen(label));
	identity_free(id);
	reap(pid, fd);
}

static void
tells_another_uid_with_its_groups(void **state)
{
	static const gid_t groups[] = { 7001, 7002 };
	const struct fixture *f = *state;
	struct identity *id = NULL;
	pid_t pid;
	int fd;
	char c;

	if (geteuid() != 0) /* only root can become somebody else */
		skip();
	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		if (setgroups(2, groups) != 0 || setgid(STRANGER) != 0 ||
		    setuid(STRANGER) != 0)
			_exit(101);
		_exit(read(dial(f), &c, 1) == 0 ? 0 : 1);
	}
	fd = take(f);
	assert_int_equal(identity_of_socket(NULL, fd, &id), HF_OK);
	assert_int_equal(id->uid, STRANGER);
	assert_int_equal(id->gid, STRANGER);
	assert_int_equal(id->group_count, 2);
	assert_int_equal(id->groups[0], 7001);
	assert_int_equal(id->groups[1], 7002);
	identity_free(id);
	reap(pid, fd);
}

static void
refuses_a_process_that_changed_its_uid_since(void **state)
{
	const struct fixture *f = *state;
	struct identity *id = NULL;
	int ready[2];
	pid_t pid;
	int fd;
	char c;

	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(ready), 0);
	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		fd = dial(f);
		if (setuid(STRANGER) != 0 || write(ready[1], "x", 1) != 1)
			_exit(101);
		_exit(read(fd, &c, 1) == 0 ? 0 : 1);
	}
	fd = take(f);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(
	    identity_of_socket(NULL, fd, &id), HF_ERR_NOT_IDENTIFIED);
	assert_null(id);
	(void)close(ready[0]);
	(void)close(ready[1]);
	reap(pid, fd);
}

static void
refuses_a_process_that_ended_before_it_was_asked_about(void **state)
{
	const struct fixture *f = *state;
	struct identity *id = NULL;
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dial(f);
		_exit(0);
	}
	fd = take(f);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(
	    identity_of_socket(NULL, fd, &id), HF_ERR_NOT_IDENTIFIED);
	assert_null(id);
	(void)close(fd);
}

static void
stays_valid_while_the_process_runs_and_not_after(void **state)
{
	const struct fixture *f = *state;
	pid_t pid = start_client(f);
	int fd = take(f);
	struct identity *id = NULL;

	assert_int_equal(identity_of_socket(NULL, fd, &id), HF_OK);
	assert_true(identity_still_valid(id));
	reap(pid, fd);
	assert_false(identity_still_valid(id));
	/* Even if a live process had that pid now. */
	id->pid = getpid();
	assert_false(identity_still_valid(id));
	identity_free(id);
}

/* CVE-2026-39388, for programs. */
static void
is_not_valid_once_the_process_runs_another_program(void **state)
{
	const struct fixture *f = *state;
	struct identity *id = NULL;
	int go[2], out[2], fd;
	pid_t pid;
	char c;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(out), 0);
	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		(void)dial(f); /* stays open over exec */
		(void)dup2(go[0], 0);
		(void)dup2(out[1], 1);
		(void)close(go[1]);
		if (read(0, &c, 1) != 1)
			_exit(1);
		(void)execl("/bin/cat", "cat", (char *)NULL);
		_exit(1);
	}
	(void)close(go[0]);
	(void)close(out[1]);
	fd = take(f);
	assert_int_equal(identity_of_socket(NULL, fd, &id), HF_OK);
	assert_true(identity_still_valid(id));
	assert_int_equal(write(go[1], "ge", 2), 2);
	assert_int_equal(read(out[0], &c, 1), 1); /* cat echoes: it runs */
	assert_false(identity_still_valid(id));
	identity_free(id);
	(void)close(go[1]);
	(void)close(out[0]);
	reap(pid, fd);
}

/* -- Connections of one process -- */

/* What a child does on command: a letter each, from `control`, and it answers
 * with the same letter. */
struct dancer {
	pid_t pid;
	int control;
};

static void
dancer_exec(const struct fixture *f, char copy, int control)
{
	char path[64], number[16];

	(void)snprintf(path, sizeof(path), "%s/%c", f->dir, copy);
	(void)snprintf(number, sizeof(number), "%d", control);
	(void)execl(path, "dancer", f->dir, number, (char *)NULL);
	_exit(102);
}

/* d: connects once more; u: becomes another user; g: changes groups; 1, 2: runs
 * a copy of this program; q: ends. */
static int
dancer_run(const struct fixture *f, int control)
{
	static const gid_t groups[] = { 7003 };
	char step;

	while (read(control, &step, 1) == 1 && step != 'q') {
		if (step == 'd')
			(void)dial(f);
		if (step == '1' || step == '2')
			dancer_exec(f, step, control);
		if ((step == 'u' && setuid(STRANGER) != 0) ||
		    (step == 'g' && setgroups(1, groups) != 0) ||
		    write(control, &step, 1) != 1)
			return 103;
	}
	return 0;
}

/* With a pid of its own choice, where one is given (0: any). */
static struct dancer
dancer_start(const struct fixture *f, pid_t pid)
{
	struct clone_args how = { .exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1 };
	struct dancer d;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	d.pid =
	    pid == 0 ? fork() : (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (d.pid == 0) {
		(void)close(ends[0]);
		_exit(dancer_run(f, ends[1]));
	}
	(void)close(ends[1]);
	d.control = ends[0];
	return d;
}

static void
dance(const struct dancer *d, char step)
{
	char answer;

	assert_int_equal(write(d->control, &step, 1), 1);
	if (step != '1' && step != '2') {
		assert_int_equal(read(d->control, &answer, 1), 1);
		assert_int_equal(answer, step);
	}
}

static void
dancer_end(const struct dancer *d)
{
	assert_int_equal(write(d->control, "q", 1), 1);
	reap(d->pid, d->control);
}

/* A connection of the dancer, and who it is. */
static struct identity *
meet(const struct fixture *f, struct identities *known, const struct dancer *d)
{
	struct identity *id = NULL;
	int fd;

	dance(d, 'd');
	fd = take(f);
	assert_int_equal(identity_of_socket(known, fd, &id), HF_OK);
	assert_int_equal(id->pid, d->pid);
	assert_true(identity_still_valid(id));
	(void)close(fd);
	return id;
}

static size_t
descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

static void
shares_among_connections_of_one_process(void **state)
{
	const struct fixture *f = *state;
	struct dancer one = dancer_start(f, 0), two = dancer_start(f, 0);
	struct identity *ids[100], *other;
	struct identities *known = NULL;
	size_t before;

	assert_int_equal(identities_new(&known), HF_OK);
	before = descriptors();
	for (size_t i = 0; i < 100; i++) {
		ids[i] = meet(f, known, &one);
		assert_ptr_equal(ids[i], ids[0]);
	}
	other = meet(f, known, &two);
	assert_ptr_not_equal(other, ids[0]);
	assert_int_equal(descriptors(), before + 2);
	/* It stays for as long as one of them does. */
	for (size_t i = 0; i < 99; i++)
		identity_free(ids[i]);
	assert_int_equal(descriptors(), before + 2);
	assert_true(identity_still_valid(ids[99]));
	dancer_end(&one);
	assert_false(identity_still_valid(ids[99]));
	assert_true(identity_still_valid(other));
	identity_free(ids[99]);
	identity_free(other);
	assert_int_equal(descriptors(), before - 1); /* one's control, too */
	dancer_end(&two);
	identities_free(known);
	identities_free(NULL);
}

/* This program as another file. */
static void
copy_self(const struct fixture *f, char copy)
{
	char path[64];
	struct stat st;
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), out;

	(void)snprintf(path, sizeof(path), "%s/%c", f->dir, copy);
	out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_true(in >= 0 && out >= 0);
	assert_int_equal(fstat(in, &st), 0);
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);

		assert_true(n > 0);
		left -= n;
	}
	(void)close(in);
	(void)close(out);
}

static void
does_not_share_with_a_program_that_ran_before(void **state)
{
	const struct fixture *f = *state;
	struct dancer d = dancer_start(f, 0);
	struct identity *before, *after, *again;
	struct identities *known = NULL;

	copy_self(f, '1');
	copy_self(f, '2');
	assert_int_equal(identities_new(&known), HF_OK);
	dance(&d, '1');
	before = meet(f, known, &d);
	dance(&d, '2');
	after = meet(f, known, &d);
	assert_ptr_not_equal(before, after);
	assert_string_not_equal(before->exe, after->exe);
	assert_false(identity_still_valid(before));
	assert_true(identity_still_valid(after));
	again = meet(f, known, &d);
	assert_ptr_equal(again, after);
	identity_free(before);
	identity_free(after);
	identity_free(again);
	dancer_end(&d);
	identities_free(known);
}

static void
does_not_share_with_who_the_process_was_before(void **state)
{
	const struct fixture *f = *state;
	struct identity *root, *grouped, *user;
	struct identities *known = NULL;
	struct dancer d;

	if (geteuid() != 0)
		skip();
	d = dancer_start(f, 0);
	assert_int_equal(identities_new(&known), HF_OK);
	root = meet(f, known, &d);
	dance(&d, 'g');
	grouped = meet(f, known, &d);
	assert_ptr_not_equal(grouped, root);
	assert_int_equal(grouped->group_count, 1);
	assert_int_equal(grouped->groups[0], 7003);
	dance(&d, 'u');
	user = meet(f, known, &d);
	assert_ptr_not_equal(user, root);
	assert_ptr_not_equal(user, grouped);
	assert_int_equal(user->uid, STRANGER);
	assert_int_equal(root->uid, 0);
	identity_free(root);
	identity_free(grouped);
	identity_free(user);
	dancer_end(&d);
	identities_free(known);
}

static void
does_not_share_with_a_process_that_had_the_same_pid(void **state)
{
	const struct fixture *f = *state;
	struct dancer old = dancer_start(f, 0), heir;
	struct identity *dead, *alive, *late = NULL;
	struct identities *known = NULL;
	int early;

	assert_int_equal(identities_new(&known), HF_OK);
	dead = meet(f, known, &old);
	dance(&old, 'd');
	early = take(f); /* nobody asked yet who that is */
	dancer_end(&old);
	heir = dancer_start(f, old.pid);
	if (heir.pid < 0) { /* only root may choose a pid */
		identity_free(dead);
		identities_free(known);
		(void)close(early);
		(void)close(heir.control);
		skip();
	}
	alive = meet(f, known, &heir);
	assert_int_equal(alive->pid, dead->pid);
	assert_string_equal(alive->label, dead->label);
	assert_ptr_not_equal(alive, dead);
	assert_false(identity_still_valid(dead));
	assert_true(identity_still_valid(alive));
	/* A connection of the dead one is not taken for one of the heir. */
	assert_int_equal(
	    identity_of_socket(known, early, &late), HF_ERR_NOT_IDENTIFIED);
	assert_null(late);
	(void)close(early);
	identity_free(dead);
	identity_free(alive);
	dancer_end(&heir);
	identities_free(known);
}

/* From now on the kernel seems not to know SO_PEERPIDFD. */
static bool
forget_peerpidfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 77, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]),
		code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int
identify_without_peerpidfd(int fd, pid_t pid)
{
	struct identity *id = NULL, *again = NULL;
	struct identities *known = NULL;
	socklen_t len = sizeof(int);
	int pidfd;

	if (!forget_peerpidfd() ||
	    getsockopt(fd, SOL_SOCKET, 77, &pidfd, &len) == 0 ||
	    errno != ENOPROTOOPT)
		return 2;
	if (identities_new(&known) != HF_OK ||
	    identity_of_socket(known, fd, &id) != HF_OK || id->pid != pid ||
	    id->pidfd < 0 || id->exe == NULL || !identity_still_valid(id))
		return 3;
	if (identity_of_socket(known, fd, &again) != HF_OK || again != id)
		return 4;
	identity_free(id);
	identity_free(again);
	identities_free(known);
	return 0;
}

static void
does_without_peerpidfd_on_older_kernels(void **state)
{
	const struct fixture *f = *state;
	pid_t client = start_client(f), pid;
	int fd = take(f), status;

	assert_true((pid = fork()) >= 0);
	if (pid == 0)
		_exit(identify_without_peerpidfd(fd, client));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	reap(client, fd);
}

static void
refuses_a_socket_that_is_not_local(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct identity *id = NULL;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(
	    identity_of_socket(NULL, fd, &id), HF_ERR_NOT_IDENTIFIED);
	(void)close(fd);
	assert_int_equal(
	    identity_of_socket(NULL, -1, &id), HF_ERR_NOT_IDENTIFIED);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0); /* not connected */
	assert_int_equal(
	    identity_of_socket(NULL, fd, &id), HF_ERR_NOT_IDENTIFIED);
	(void)close(fd);
}

static void
expect_unit(const char *cgroup, const char *unit)
{
	char out[64] = "";
	bool found = proc_unit(text_of(cgroup), out, sizeof(out));

	assert_int_equal(found, unit != NULL);
	if (unit != NULL)
		assert_string_equal(out, unit);
}

static void
finds_the_system_unit_in_both_cgroup_versions(void **state)
{
	(void)state;
	expect_unit("0::/system.slice/nginx.service\n", "nginx.service");
	expect_unit("0::/system.slice/nginx.service", "nginx.service");
	expect_unit("0::/system.slice/system-web.slice/web@1.service\n",
	    "web@1.service");
	expect_unit("0::/shop.slice/shop.service/worker\n", "shop.service");
	expect_unit("12:cpu:/x.service\n1:name=systemd:/system.slice/a.service"
		    "\n0::/\n",
	    "a.service");
	expect_unit(
	    "0::/system.slice/docker-12ab.scope\n", "docker-12ab.scope");
	expect_unit("0::/system.slice/_cgroup.service\n", "cgroup.service");
}

static void
takes_no_name_that_a_user_or_container_gave_for_a_unit(void **state)
{
	(void)state;
	expect_unit("0::/user.slice/user-1000.slice/user@1000.service/"
		    "app.slice/nginx.service\n",
	    NULL);
	expect_unit("0::/user.slice/user-1000.slice/user@1000.service/"
		    "system.slice/nginx.service\n",
	    NULL);
	expect_unit("0::/user.slice/user-1000.slice/session-3.scope\n", NULL);
	expect_unit("0::/system.slice/docker-12ab.scope/system.slice/"
		    "nginx.service\n",
	    "docker-12ab.scope");
	expect_unit(
	    "0::/system.slice/shop.service/nginx.service\n", "shop.service");
	expect_unit("0::/docker/12ab/system.slice/nginx.service\n", NULL);
	expect_unit("0::/../system.slice/nginx.service\n", NULL);
	expect_unit("3:cpu:/system.slice/nginx.service\n", NULL);
}

static void
finds_no_unit_where_there_is_none(void **state)
{
	char small[8];

	(void)state;
	expect_unit("", NULL);
	expect_unit("0::/\n", NULL);
	expect_unit("0::/system.slice\n", NULL);
	expect_unit("0::/system.slice/nginx.service (deleted)\n", NULL);
	expect_unit("0::/system.slice/.service\n", NULL);
	expect_unit("nonsense", NULL);
	assert_false(
	    proc_unit(TEXT("0::/long-name.service"), small, sizeof(small)));
}

static bool
trusts(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return proc_exe_trusted(path, st.st_dev, st.st_ino);
}

static void
trusts_only_programs_that_root_alone_can_change(void **state)
{
	const struct fixture *f = *state;
	char path[64], real[512];
	struct stat st;
	FILE *file;

	assert_non_null(realpath("/bin/cat", real));
	assert_true(trusts(real));
	assert_int_equal(stat(real, &st), 0);
	assert_false(proc_exe_trusted(real, st.st_dev, st.st_ino + 1));
	assert_false(proc_exe_trusted("/nowhere", st.st_dev, st.st_ino));
	assert_false(proc_exe_trusted("cat", st.st_dev, st.st_ino));

	/* Below /tmp, where anybody may put another folder in the place. */
	(void)snprintf(path, sizeof(path), "%s/exe", f->dir);
	assert_non_null(file = fopen(path, "w"));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_false(trusts(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(real, path), 0);
	assert_false(trusts(path));
	assert_int_equal(unlink(path), 0);
}

static void
does_not_trust_a_file_or_folder_that_others_may_write(void **state)
{
	char dir[] = "/root/identity.XXXXXX", path[64];
	FILE *file;

	(void)state;
	if (geteuid() != 0) /* only root can make a trusted file */
		skip();
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/exe", dir);
	assert_non_null(file = fopen(path, "w"));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_true(trusts(path));
	assert_int_equal(chmod(path, 0775), 0);
	assert_false(trusts(path));
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chmod(dir, 01777), 0);
	assert_false(trusts(path));
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(chown(dir, STRANGER, STRANGER), 0);
	assert_false(trusts(path));
	assert_int_equal(chown(dir, 0, 0), 0);
	assert_int_equal(chown(path, STRANGER, 0), 0);
	assert_false(trusts(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
makes_an_identity_of_a_certificate(void **state)
{
	struct identity *id = NULL;
	char sha[65];

	(void)state;
	memset(sha, 'a', 64);
	sha[64] = '\0';
	assert_int_equal(
	    identity_of_cert("web\n1", "CN=web1", sha, "[::1]:5", &id), HF_OK);
	assert_false(id->local);
	assert_string_equal(id->cert, "web\n1");
	assert_string_equal(id->label, "cert=web?1 address=[::1]:5");
	assert_string_equal(id->cert_sha256, sha);
	assert_true(identity_still_valid(id));
	identity_free(id);
	identity_free(NULL);
}

/* -- Subjects -- */

static bool
names(const char *text, const struct identity *id)
{
	struct subject s = { 0 };
	struct hf_why why = { "" };
	bool result;

	if (subject_parse(text_of(text), &s, &why) != HF_OK)
		fail_msg("%s: %s", text, why.text);
	result = subject_names(&s, id);
	subject_free(&s);
	return result;
}

static void
names_local_identities_by_each_kind_of_subject(void **state)
{
	gid_t groups[] = { 20, 30 };
	char exe[] = "/usr/sbin/no-such-daemon", unit[] = "shop.service";
	struct identity id = { .local = true,
		.uid = 1000,
		.gid = 10,
		.groups = groups,
		.group_count = 2,
		.exe = exe,
		.exe_trusted = true,
		.unit = unit,
		.pidfd = -1 };

	(void)state;
	assert_true(names("uid:1000", &id));
	assert_false(names("uid:1001", &id));
	assert_true(names("gid:10", &id));
	assert_true(names("gid:30", &id));
	assert_false(names("gid:1000", &id));
	assert_false(names("user:root", &id));
	assert_false(names("group:root", &id));
	assert_true(names("unit:shop.service", &id));
	assert_false(names("unit:Shop.service", &id));
	assert_true(names("exe:/usr/sbin/no-such-daemon", &id));
	assert_true(names("any:local", &id));
	assert_false(names("cert:shop.service", &id));
	id.exe_trusted = false;
	assert_false(names("exe:/usr/sbin/no-such-daemon", &id));
	id.uid = 0;
	assert_true(names("user:root", &id));
}

static void
names_certificates_by_nothing_but_cert(void **state)
{
	char cert[] = "web1";
	struct identity id = {
		.cert = cert, .uid = (uid_t)-1, .gid = (gid_t)-1
	};

	(void)state;
	assert_true(names("cert:web1", &id));
	assert_false(names("cert:web", &id));
	assert_false(names("any:local", &id));
	assert_false(names("uid:0", &id));
	assert_false(names("gid:0", &id));
	id.uid = 0; /* whatever stands there */
	assert_false(names("uid:0", &id));
}

static void
refuses_subjects_that_make_no_sense(void **state)
{
	static const char *const texts[] = { "", "uid", "uid:", "uid:-1",
		"uid:x", "uid: 1", "uid:4294967295", "uid:1x", "UID:1",
		"user:no-such-user-here", "group:no-such-group-here",
		"unit:nginx", "unit:.service", "unit:a/b.service",
		"unit:ssh.socket", "exe:sshd", "exe:/a/../b", "exe:/a//b",
		"exe:/a/", "exe:/", "any:body", "cert:", "name:x" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct subject s = { 0 };
		struct hf_why why = { "" };

		if (subject_parse(text_of(texts[i]), &s, &why) == HF_OK)
			fail_msg("\"%s\" was accepted", texts[i]);
		assert_string_not_equal(why.text, "");
	}
}

static void
refuses_a_link_as_exe_and_names_its_target(void **state)
{
	const struct fixture *f = *state;
	char path[64], text[80], real[512];
	struct subject s;
	struct hf_why why;

	(void)snprintf(path, sizeof(path), "%s/link", f->dir);
	assert_non_null(realpath("/bin/cat", real));
	assert_int_equal(symlink(real, path), 0);
	(void)snprintf(text, sizeof(text), "exe:%s", path);
	assert_int_equal(
	    subject_parse(text_of(text), &s, &why), HF_ERR_BAD_VALUE);
	assert_non_null(strstr(why.text, real));
	assert_int_equal(unlink(path), 0);
}

static void
makes_an_identity_of_subjects(void **state)
{
	const struct hf_text root[] = { TEXT("user:root"), TEXT("gid:77"),
		TEXT("unit:a.service"), TEXT("exe:/usr/sbin/no-such") };
	const struct hf_text cert[] = { TEXT("cert:web1") };
	struct identity *id = NULL;
	struct hf_why why;

	(void)state;
	assert_int_equal(identity_of_subjects(root, 4, &id, &why), HF_OK);
	assert_true(id->local);
	assert_int_equal(id->uid, 0);
	assert_true(names("group:root", id));
	assert_true(names("gid:77", id));
	assert_true(names("unit:a.service", id));
	assert_true(names("exe:/usr/sbin/no-such", id));
	identity_free(id);
	assert_int_equal(identity_of_subjects(cert, 1, &id, &why), HF_OK);
	assert_false(id->local);
	assert_true(names("cert:web1", id));
	identity_free(id);
	assert_int_equal(identity_of_subjects(NULL, 0, &id, &why), HF_OK);
	assert_false(names("any:local", id));
	assert_false(names("uid:0", id));
	identity_free(id);
}

static void
refuses_to_be_two_people_at_once(void **state)
{
	const struct hf_text uids[] = { TEXT("uid:1"), TEXT("uid:2") };
	const struct hf_text units[] = { TEXT("unit:a.service"),
		TEXT("unit:b.service") };
	const struct hf_text both[] = { TEXT("uid:1"), TEXT("cert:x") };
	struct identity *id = NULL;
	struct hf_why why;

	(void)state;
	assert_int_equal(
	    identity_of_subjects(uids, 2, &id, &why), HF_ERR_BAD_VALUE);
	assert_int_equal(
	    identity_of_subjects(units, 2, &id, &why), HF_ERR_BAD_VALUE);
	assert_int_equal(
	    identity_of_subjects(both, 2, &id, &why), HF_ERR_BAD_VALUE);
	assert_null(id);
}

/* As the other program that a dancer runs: FOLDER CONTROL. */
static int
dance_on(char **argv)
{
	struct fixture f = { .addr = { .sun_family = AF_UNIX } };

	(void)snprintf(f.dir, sizeof(f.dir), "%s", argv[1]);
	(void)snprintf(
	    f.addr.sun_path, sizeof(f.addr.sun_path), "%s/s", argv[1]);
	return dancer_run(&f, (int)strtol(argv[2], NULL, 10));
}

int
main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(tells_uid_gid_groups_and_pid_of_a_client),
		T(tells_the_program_of_a_client),
		T(tells_another_uid_with_its_groups),
		T(refuses_a_process_that_changed_its_uid_since),
		T(refuses_a_process_that_ended_before_it_was_asked_about),
		T(stays_valid_while_the_process_runs_and_not_after),
		T(is_not_valid_once_the_process_runs_another_program),
		T(shares_among_connections_of_one_process),
		T(does_not_share_with_a_program_that_ran_before),
		T(does_not_share_with_who_the_process_was_before),
		T(does_not_share_with_a_process_that_had_the_same_pid),
		T(does_without_peerpidfd_on_older_kernels),
		T(refuses_a_socket_that_is_not_local),
		T(finds_the_system_unit_in_both_cgroup_versions),
		T(takes_no_name_that_a_user_or_container_gave_for_a_unit),
		T(finds_no_unit_where_there_is_none),
		T(trusts_only_programs_that_root_alone_can_change),
		T(does_not_trust_a_file_or_folder_that_others_may_write),
		T(makes_an_identity_of_a_certificate),
		T(names_local_identities_by_each_kind_of_subject),
		T(names_certificates_by_nothing_but_cert),
		T(refuses_subjects_that_make_no_sense),
		T(refuses_a_link_as_exe_and_names_its_target),
		T(makes_an_identity_of_subjects),
		T(refuses_to_be_two_people_at_once),
	};

	if (argc == 3)
		return dance_on(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
