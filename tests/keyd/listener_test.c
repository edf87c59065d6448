/* SPDX-License-Identifier: Apache-2.0 */
#include "transport_fixture.h"

#include <sys/wait.h>

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
		_exit(serve_as_systemd_would(f));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	/* The one that forks is first: nothing else has threads yet. */
	const struct CMUnitTest tests[] = {
		TEST(takes_the_socket_that_systemd_passes),
		TEST(makes_the_socket_with_its_mode),
		TEST(removes_the_socket_when_it_stops),
		TEST(leaves_a_socket_that_is_not_its_own),
		TEST(replaces_the_socket_of_a_daemon_that_is_gone),
		TEST(leaves_the_socket_of_a_daemon_that_runs),
		TEST(leaves_a_file_that_is_no_socket),
		TEST(refuses_a_path_that_no_socket_can_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
