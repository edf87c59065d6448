/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that the command line reads and writes: all of one or nothing, and a
 * word about what was wrong. What the system would not do by itself it is made
 * to do here (a file system without O_TMPFILE, a disk that fails).
 */
#include "../../tools/file.h"
#include "../../tools/outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../../tools/tool.h"

static char folder[] = "/tmp/hf-file-XXXXXX";

/* -- What the system does not do: the linker brings calls here first -- */

static struct {
	int tmpfile, fsync, rename; /* what it fails with; 0: it does it */
} broken;

int __real_open(const char *path, int flags, ...);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_open(const char *path, int flags, ...);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);

int
__wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & (O_CREAT | __O_TMPFILE)) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if ((flags & O_TMPFILE) == O_TMPFILE && broken.tmpfile != 0) {
		errno = broken.tmpfile;
		return -1;
	}
	return __real_open(path, flags, mode);
}

int
__wrap_fsync(int fd)
{
	if (broken.fsync == 0)
		return __real_fsync(fd);
	errno = broken.fsync;
	return -1;
}

int
__wrap_rename(const char *from, const char *to)
{
	if (broken.rename == 0)
		return __real_rename(from, to);
	errno = broken.rename;
	return -1;
}

/* -- A folder of our own, and what is said on stderr -- */

static int
make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int
drop_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static int
mend(void **state)
{
	(void)state;
	memset(&broken, 0, sizeof(broken));
	(void)umask(022);
	return 0;
}

/* How many files there are; hidden ones count. */
static unsigned
files(void)
{
	DIR *dir = opendir(".");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n - 2; /* . and .. */
}

static int heard, kept = -1;

static void
listen_to_stderr(void)
{
	heard = memfd_create("stderr", MFD_CLOEXEC);
	kept = dup(STDERR_FILENO);
	assert_true(dup2(heard, STDERR_FILENO) >= 0);
}

static void
assert_said(const char *what)
{
	char text[8192] = { 0 };

	(void)fflush(stderr);
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	assert_true(pread(heard, text, sizeof(text) - 1, 0) >= 0);
	(void)close(kept);
	(void)close(heard);
	if (strstr(text, what) == NULL)
		fail_msg("'%s' does not say '%s'", text, what);
}

/* `call` fails with a sentence. */
#define FAILS(call, what)                               \
	do {                                            \
		listen_to_stderr();                     \
		assert_int_equal((call), STATUS_USAGE); \
		assert_said(what);                      \
	} while (0)

static void
put(const char *path, const char *text)
{
	int fd =
	    __real_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void
assert_holds(const char *path, const char *text)
{
	AUTO_BUFFER b = { 0 };

	assert_int_equal(file_read(path, 1000, &b), STATUS_OK);
	assert_int_equal(b.len, strlen(text));
	assert_memory_equal(b.ptr, text, b.len);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* -- Output piece by piece -- */

static void
begin(struct outfile *o, const char *path, bool force, const char *text)
{
	assert_int_equal(outfile_open(o, path, force, false), STATUS_OK);
	assert_int_equal(write(o->fd, text, strlen(text)), strlen(text));
}

static void
a_file_appears_when_it_is_whole(void **state)
{
	struct outfile o;

	(void)state;
	for (broken.tmpfile = 0; broken.tmpfile <= EOPNOTSUPP;
	     broken.tmpfile += EOPNOTSUPP) {
		begin(&o, "out", false, "all of it");
		assert_int_equal(access("out", F_OK), -1);
		/* Without O_TMPFILE it has another name until then. */
		assert_int_equal(files(), broken.tmpfile == 0 ? 0 : 1);
		assert_int_equal(outfile_commit(&o), STATUS_OK);
		assert_holds("out", "all of it");
		assert_int_equal(mode_of("out"), 0644);
		assert_int_equal(files(), 1);
		assert_int_equal(unlink("out"), 0);
	}
}

static void
what_is_discarded_leaves_nothing(void **state)
{
	struct outfile o;

	(void)state;
	for (broken.tmpfile = 0; broken.tmpfile <= EOPNOTSUPP;
	     broken.tmpfile += EOPNOTSUPP) {
		put("old", "as it was");
		begin(&o, "old", true, "new");
		outfile_discard(&o);
		begin(&o, "other", false, "new");
		outfile_discard(&o);
		assert_holds("old", "as it was");
		assert_int_equal(files(), 1);
		assert_int_equal(unlink("old"), 0);
	}
}

static void
a_secret_is_its_owners_alone(void **state)
{
	struct outfile o;

	(void)state;
	(void)umask(0);
	for (broken.tmpfile = 0; broken.tmpfile <= EOPNOTSUPP;
	     broken.tmpfile += EOPNOTSUPP) {
		assert_int_equal(
		    outfile_open(&o, "secret", false, true), STATUS_OK);
		assert_int_equal(outfile_commit(&o), STATUS_OK);
		assert_int_equal(mode_of("secret"), 0600);
		assert_int_equal(unlink("secret"), 0);
	}
}

static void
only_force_replaces(void **state)
{
	struct outfile o;

	(void)state;
	for (broken.tmpfile = 0; broken.tmpfile <= EOPNOTSUPP;
	     broken.tmpfile += EOPNOTSUPP) {
		put("out", "as it was");
		FAILS(outfile_open(&o, "out", false, false),
		    "out exists already; --force replaces it");
		begin(&o, "out", true, "new");
		assert_int_equal(outfile_commit(&o), STATUS_OK);
		assert_holds("out", "new");
		assert_int_equal(files(), 1);
		assert_int_equal(unlink("out"), 0);
	}
}

/* Somebody makes a file of that name while ours is being written. */
static void
who_comes_first_keeps_the_name(void **state)
{
	struct outfile o;

	(void)state;
	for (broken.tmpfile = 0; broken.tmpfile <= EOPNOTSUPP;
	     broken.tmpfile += EOPNOTSUPP) {
		begin(&o, "out", false, "late");
		put("out", "first");
		FAILS(outfile_commit(&o), "out exists already");
		assert_holds("out", "first");
		assert_int_equal(files(), 1);
		assert_int_equal(unlink("out"), 0);
	}
}

/* What is said to be written is on the disk. */
static void
a_disk_that_fails_is_told_of(void **state)
{
	struct outfile o;

	(void)state;
	for (broken.tmpfile = 0; broken.tmpfile <= EOPNOTSUPP;
	     broken.tmpfile += EOPNOTSUPP) {
		put("out", "as it was");
		begin(&o, "out", true, "new");
		broken.fsync = EIO;
		FAILS(outfile_commit(&o), "out: Input/output error");
		broken.fsync = 0;
		assert_holds("out", "as it was");
		assert_int_equal(files(), 1);
		assert_int_equal(unlink("out"), 0);
	}
}

static void
what_is_no_place_for_a_file_is_told(void **state)
{
	static char endless[5000];
	struct outfile o;

	(void)state;
	memset(endless, 'x', sizeof(endless) - 1);
	endless[4500] = '/';
	FAILS(outfile_open(&o, ".", true, false), "Is a directory");
	FAILS(outfile_open(&o, "no/where", false, false),
	    "no/where: No such file or directory");
	FAILS(outfile_open(&o, endless, false, false), "File name too long");
	broken.tmpfile = EOPNOTSUPP;
	FAILS(outfile_open(&o, "no/where", false, false),
	    "no/where: No such file or directory");
	broken.tmpfile = EACCES;
	FAILS(outfile_open(&o, "x", false, false), "x: Permission denied");
	/* A link that leads nowhere is a file all the same. */
	assert_int_equal(symlink("nowhere", "link"), 0);
	FAILS(outfile_open(&o, "link", false, false), "link exists already");
	assert_int_equal(unlink("link"), 0);
	assert_int_equal(files(), 0);
}

static void
the_root_is_a_folder_too(void **state)
{
	struct outfile o;

	(void)state;
	listen_to_stderr();
	if (outfile_open(&o, "/hf-file-test", false, false) == STATUS_OK) {
		assert_string_equal(o.folder, "/");
		outfile_discard(&o);
		assert_said("");
	} else {
		assert_said("/hf-file-test: ");
	}
	assert_int_equal(access("/hf-file-test", F_OK), -1);
}

static void
a_device_takes_what_comes_as_it_comes(void **state)
{
	struct outfile o;

	(void)state;
	begin(&o, "/dev/null", false, "gone");
	assert_true(o.in_place);
	assert_int_equal(outfile_commit(&o), STATUS_OK);
	begin(&o, "-", false, "");
	assert_int_equal(o.fd, STDOUT_FILENO);
	assert_int_equal(outfile_commit(&o), STATUS_OK);
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFD), 0);
	outfile_discard(&o);
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFD), 0);
	assert_int_equal(mkfifo("fifo", 0), 0);
	if (geteuid() != 0)
		FAILS(outfile_open(&o, "fifo", false, false),
		    "fifo: Permission denied");
	assert_int_equal(unlink("fifo"), 0);
}

/* -- All at once -- */

static void
a_file_that_is_too_large_is_refused(void **state)
{
	AUTO_BUFFER b = { 0 }, whole = { 0 };

	(void)state;
	put("in", "12345");
	FAILS(file_read("in", 4, &b),
	    "in: larger than the 4 bytes that one request can take");
	assert_int_equal(file_read("in", 5, &whole), STATUS_OK);
	assert_int_equal(whole.len, 5);
	assert_int_equal(unlink("in"), 0);
}

/* A device says that it has no bytes. */
static void
a_file_that_does_not_know_its_size_is_read(void **state)
{
	AUTO_BUFFER b = { 0 }, text = { 0 };

	(void)state;
	FAILS(file_read("/dev/zero", 200000, &b),
	    "/dev/zero: larger than the 200000 bytes");
	assert_int_equal(
	    file_read("/proc/self/status", 1 << 20, &text), STATUS_OK);
	assert_memory_equal(text.ptr, "Name:", 5);
}

static void
what_cannot_be_read_is_told(void **state)
{
	AUTO_BUFFER b = { 0 };

	(void)state;
	FAILS(file_read("missing", 10, &b), "missing: No such file");
	FAILS(file_read(".", 10, &b), ".: Is a directory");
	assert_int_equal(b.len, 0);
}

static void
a_file_is_replaced_as_a_whole(void **state)
{
	(void)state;
	put("out", "old");
	assert_int_equal(chmod("out", 0644), 0);
	(void)umask(027);
	assert_int_equal(
	    file_write("out", bytes_of("new", 3), false), STATUS_OK);
	assert_holds("out", "new");
	assert_int_equal(mode_of("out"), 0640);
	assert_int_equal(
	    file_write("out", bytes_of("secret", 6), true), STATUS_OK);
	assert_int_equal(mode_of("out"), 0600);
	assert_int_equal(files(), 1);
	assert_int_equal(unlink("out"), 0);
}

static void
what_cannot_be_written_leaves_the_old(void **state)
{
	static char endless[5000];

	(void)state;
	memset(endless, 'x', sizeof(endless) - 1);
	put("out", "old");
	broken.fsync = EIO;
	FAILS(file_write("out", bytes_of("new", 3), false),
	    "out: Input/output error");
	broken.fsync = 0;
	broken.rename = EROFS;
	FAILS(file_write("out", bytes_of("new", 3), true),
	    "out: Read-only file system");
	broken.rename = 0;
	assert_holds("out", "old");
	assert_int_equal(files(), 1);
	assert_int_equal(unlink("out"), 0);
	FAILS(file_write("no/where", bytes_of("new", 3), false),
	    "no/where: No such file");
	FAILS(file_write(endless, bytes_of("new", 3), false),
	    "the path is too long");
	FAILS(file_write("/dev/full", bytes_of("new", 3), false),
	    "/dev/full: No space left on device");
	assert_int_equal(
	    file_write("/dev/null", bytes_of("new", 3), false), STATUS_OK);
	assert_int_equal(files(), 0);
}

static void
a_full_standard_output_is_told_of(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), was;

	(void)state;
	(void)fflush(stdout);
	was = dup(STDOUT_FILENO);
	assert_true(dup2(full, STDOUT_FILENO) >= 0);
	listen_to_stderr();
	assert_int_equal(
	    file_write("-", bytes_of("new", 3), false), STATUS_USAGE);
	assert_int_equal(file_write(NULL, bytes_of("", 0), false), STATUS_OK);
	assert_true(dup2(was, STDOUT_FILENO) >= 0);
	assert_said("standard output: No space left on device");
	(void)close(was);
	(void)close(full);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, mend, mend)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_appears_when_it_is_whole),
		TEST(what_is_discarded_leaves_nothing),
		TEST(a_secret_is_its_owners_alone),
		TEST(only_force_replaces),
		TEST(who_comes_first_keeps_the_name),
		TEST(a_disk_that_fails_is_told_of),
		TEST(what_is_no_place_for_a_file_is_told),
		TEST(the_root_is_a_folder_too),
		TEST(a_device_takes_what_comes_as_it_comes),
		TEST(a_file_that_is_too_large_is_refused),
		TEST(a_file_that_does_not_know_its_size_is_read),
		TEST(what_cannot_be_read_is_told),
		TEST(a_file_is_replaced_as_a_whole),
		TEST(what_cannot_be_written_leaves_the_old),
		TEST(a_full_standard_output_is_told_of),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
