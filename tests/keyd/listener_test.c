/* SPDX-License-Identifier: Apache-2.0 */
#include "transport_fixture.h"

#include <sys/wait.h>

#include "../../keyd/leave.h"

static void
makes_the_socket_with_its_mode(void **state)
{
	struct fixture *f = *state;
	const mode_t before = umask(077);
	struct stat st;

	f->settings.socket_mode = 0666;
	start(f);
	assert_int_equal(stat(f->socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	(void)umask(before);
}

static void
removes_the_socket_when_it_stops(void **state)
{
	struct fixture *f = *state;

	start(f);
	transport_stop(f->transport, 100);
	assert_int_equal(access(f->socket, F_OK), -1);
}

static void
leaves_a_socket_that_is_not_its_own(void **state)
{
	struct fixture *f = *state;
	struct transport *second = NULL;

	start(f);
	assert_int_equal(unlink(f->socket), 0);
	assert_int_equal(try_open(f, &second), HF_OK);
	transport_stop(f->transport, 100);
	assert_int_equal(access(f->socket, F_OK), 0);
	transport_close(second);
	assert_int_equal(access(f->socket, F_OK), -1);
}

static void
replaces_the_socket_of_a_daemon_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd;

	(void)strcpy(address.sun_path, f->socket);
	assert_int_equal(
	    bind(stale, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(stale);
	start(f);
	fd = connected(f);
	(void)close(fd);
}

static void
leaves_the_socket_of_a_daemon_that_runs(void **state)
{
	struct fixture *f = *state;
	struct transport *second = NULL;
	int fd;

	start(f);
	assert_int_equal(try_open(f, &second), HF_ERR_NAME_TAKEN);
	fd = connected(f);
	ask(fd, 1, "mine");
	hear_text(fd, 1, "mine");
	(void)close(fd);
}

static void
leaves_a_file_that_is_no_socket(void **state)
{
	struct fixture *f = *state;
	struct transport *t = NULL;
	int fd = open(f->socket, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(try_open(f, &t), HF_ERR_BAD_SETTINGS);
	assert_int_equal(access(f->socket, F_OK), 0);
}

static void
refuses_a_path_that_no_socket_can_have(void **state)
{
	struct fixture *f = *state;
	struct transport *t = NULL;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	f->settings.socket = path;
	assert_int_equal(try_open(f, &t), HF_ERR_BAD_SETTINGS);
}

static void
refuses_a_folder_where_no_socket_can_be(void **state)
{
	static const char *const bad[] = { "", "/dev/null/socket",
		"/nonexistent/socket", "/proc/socket" };
	struct fixture *f = *state;
	struct transport *t = NULL;
	struct hf_why why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f->settings.socket = bad[i];
		assert_int_equal(transport_open(&f->settings, NULL, &t, &why),
		    i == 0 ? HF_ERR_BAD_SETTINGS : HF_ERR_SYSTEM);
		assert_non_null(strstr(why.text, bad[i]));
	}
}

/* Where root serves, others must not be able to choose whom it replaces. */
static void
leaves_the_socket_of_somebody_else(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct transport *t = NULL;
	struct hf_why why;

	(void)strcpy(address.sun_path, f->socket);
	assert_int_equal(
	    bind(stale, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(stale);
	if (lchown(f->socket, 4711, 4711) != 0)
		skip(); /* root alone can give it away */
	assert_int_equal(
	    transport_open(&f->settings, NULL, &t, &why), HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, "belongs to somebody else"));
	assert_int_equal(access(f->socket, F_OK), 0);
}

/* It is neither followed nor removed, wherever it leads. */
static void
leaves_a_symlink(void **state)
{
	struct fixture *f = *state;
	struct fixture aim = *f;
	struct transport *t = NULL;

	(void)snprintf(aim.socket, sizeof(aim.socket), "%s/x", f->folder);
	assert_int_equal(symlink(aim.socket, f->socket), 0);
	assert_int_equal(try_open(f, &t), HF_ERR_BAD_SETTINGS);
	assert_int_equal(access(aim.socket, F_OK), -1);
	assert_int_equal(unlink(f->socket), 0);
}

/* With `fd` as descriptor 3, in a child. */
static enum hf_err
open_as_systemd_would(struct fixture *f, const char *count, int fd)
{
	struct hf_why why = { "" };
	char pid[16];

	if (fd >= 0 && dup2(fd, 3) != 3)
		leave(1);
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", count, 1);
	return transport_open(&f->settings, NULL, &f->transport, &why);
}

static void
expect_refused_from_systemd(struct fixture *f, const char *count, int fd)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		leave(
		    open_as_systemd_would(f, count, fd) != HF_ERR_BAD_SETTINGS);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
refuses_what_else_systemd_passes(void **state)
{
	struct fixture *f = *state;
	int pair[2], file = open("/dev/null", O_RDWR | O_CLOEXEC);
	int unheard = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	expect_refused_from_systemd(f, "1", file);
	expect_refused_from_systemd(f, "1", pair[0]);
	expect_refused_from_systemd(f, "1", unheard);
	expect_refused_from_systemd(f, "1", datagram);
	expect_refused_from_systemd(f, "2", pair[0]);
	expect_refused_from_systemd(f, "x", -1);
	(void)close(pair[0]);
	(void)close(pair[1]);
	(void)close(file);
	(void)close(unheard);
	(void)close(datagram);
}

/* In a child, because the socket must be descriptor 3. */
static int
serve_as_systemd_would(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct hf_why why = { "" };
	char pid[16];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int kept = dup(fd); /* systemd's own */

	(void)strcpy(address.sun_path, f->socket);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, 10) != 0 || dup2(fd, 3) != 3)
		return 1;
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "1", 1);
	f->settings.socket = "/nonexistent/socket";
	if (transport_open(&f->settings, NULL, &f->transport, &why) != HF_OK ||
	    transport_start(f->transport) != HF_OK) {
		(void)fprintf(stderr, "%s\n", why.text);
		return 2;
	}
	fd = connected(f);
	ask(fd, 1, "through systemd");
	hear_text(fd, 1, "through systemd");
	transport_close(f->transport);
	/* The file and the queue are systemd's: the next daemon takes over. */
	(void)close(dial(f));
	(void)close(kept);
	return 0;
}

static void
takes_the_socket_that_systemd_passes(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		leave(serve_as_systemd_would(f));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	/* Those that fork are first: nothing else has threads yet. */
	const struct CMUnitTest tests[] = {
		TEST(takes_the_socket_that_systemd_passes),
		TEST(refuses_what_else_systemd_passes),
		TEST(makes_the_socket_with_its_mode),
		TEST(removes_the_socket_when_it_stops),
		TEST(leaves_a_socket_that_is_not_its_own),
		TEST(replaces_the_socket_of_a_daemon_that_is_gone),
		TEST(leaves_the_socket_of_a_daemon_that_runs),
		TEST(leaves_a_file_that_is_no_socket),
		TEST(refuses_a_path_that_no_socket_can_have),
		TEST(refuses_a_folder_where_no_socket_can_be),
		TEST(leaves_the_socket_of_somebody_else),
		TEST(leaves_a_symlink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
