/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

/* Many times what a pipe holds, so that each call moves a part of it. */
enum { SIZE = 1 << 20, PIECE = 1 << 12 };

/* A file in memory with "0123456789" in it. */
static int
ten_bytes(void)
{
	int fd = memfd_create("ten", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write(fd, bytes_of("0123456789", 10), NULL), HF_OK);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
nothing(int signal)
{
	(void)signal;
}

/* The ends of a pipe, and who reads from it. */
struct writer {
	int ends[2];
	pthread_t reader;
	const uint8_t *data;
};

static void *
write_and_interrupt(void *arg)
{
	struct writer *w = arg;
	enum hf_err err = HF_OK;

	for (size_t at = 0; at < SIZE && err == HF_OK; at += PIECE) {
		(void)pthread_kill(w->reader, SIGUSR1);
		err = fd_write(w->ends[1], bytes_of(w->data + at, PIECE), NULL);
	}
	(void)close(w->ends[1]);
	return (void *)(uintptr_t)err;
}

static void
all_of_it_comes_in_pieces_and_through_signals(void **state)
{
	struct sigaction interrupts = { .sa_handler = nothing }, before;
	uint8_t *data = malloc(SIZE), *got = calloc(1, SIZE + 1);
	struct writer w = { .reader = pthread_self(), .data = data };
	pthread_t thread;
	void *written;
	size_t done;

	(void)state;
	assert_non_null(data);
	assert_non_null(got);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
	assert_int_equal(sigaction(SIGUSR1, &interrupts, &before), 0);
	assert_int_equal(pipe2(w.ends, O_CLOEXEC), 0);
	assert_int_equal(
	    pthread_create(&thread, NULL, write_and_interrupt, &w), 0);
	assert_int_equal(fd_read(w.ends[0], got, SIZE + 1, &done, NULL), HF_OK);
	assert_int_equal(pthread_join(thread, &written), 0);
	assert_int_equal((uintptr_t)written, HF_OK);
	assert_int_equal(done, SIZE);
	assert_memory_equal(got, data, SIZE);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	(void)close(w.ends[0]);
	free(data);
	free(got);
}

static void
reads_less_only_at_the_end(void **state)
{
	int fd = ten_bytes();
	char got[16];
	size_t done;

	(void)state;
	assert_int_equal(fd_read(fd, got, 4, &done, NULL), HF_OK);
	assert_int_equal(done, 4);
	assert_memory_equal(got, "0123", 4);
	assert_int_equal(fd_read(fd, got, sizeof(got), &done, NULL), HF_OK);
	assert_int_equal(done, 6);
	assert_memory_equal(got, "456789", 6);
	assert_int_equal(fd_read(fd, got, sizeof(got), &done, NULL), HF_OK);
	assert_int_equal(done, 0);
	(void)close(fd);
}

static void
places_are_those_named_and_the_position_stays(void **state)
{
	int fd = ten_bytes();
	char got[16];
	size_t done;

	(void)state;
	assert_int_equal(fd_pwrite(fd, bytes_of("abcd", 4), 8, NULL), HF_OK);
	assert_int_equal(fd_pread(fd, got, sizeof(got), 7, &done, NULL), HF_OK);
	assert_int_equal(done, 5);
	assert_memory_equal(got, "7abcd", 5);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	(void)close(fd);
}

static void
says_why_it_failed(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct hf_why why = { "" };
	char got[4];
	size_t done = 7;

	(void)state;
	assert_true(full >= 0);
	assert_int_equal(fd_write(full, bytes_of("x", 1), &why), HF_ERR_SYSTEM);
	assert_int_equal(errno, ENOSPC);
	assert_string_equal(why.text, "writing: No space left on device");
	assert_int_equal(
	    fd_read(full, got, sizeof(got), &done, &why), HF_ERR_SYSTEM);
	assert_int_equal(errno, EBADF);
	assert_string_equal(why.text, "reading: Bad file descriptor");
	assert_int_equal(done, 0);
	(void)close(full);
}

static void
only_what_is_open_is_closed(void **state)
{
	int fd = ten_bytes();

	(void)state;
	errno = 0;
	fd_close(-1);
	assert_int_equal(errno, 0);
	fd_close(fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_comes_in_pieces_and_through_signals),
		cmocka_unit_test(reads_less_only_at_the_end),
		cmocka_unit_test(places_are_those_named_and_the_position_stays),
		cmocka_unit_test(says_why_it_failed),
		cmocka_unit_test(only_what_is_open_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
