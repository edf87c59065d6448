/* SPDX-License-Identifier: Apache-2.0 */
/* Several hands at one sealed file: they make what one makes, and can no more
 * than one use a nonce twice. */
#include "../../lib/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

enum { CHUNK = HF_STREAM_CHUNK_MIN, UNIT = CHUNK + HF_STREAM_TAG, CHUNKS = 7 };

static const uint8_t data_key[32] = "a data key of 32 bytes, for all";
static const uint8_t wrapped[64] = { 0, 0, 0, 3, 'w', 'r' };
static const uint8_t salt[STREAM_SALT] = "a salt";
static const struct hf_seal_how how = { .key = { "payments", 8 },
	.chunk_size = CHUNK };

/* Of the plaintext: six chunks, and a last one of a byte. */
static uint8_t plain[CHUNKS * CHUNK];
static const size_t plain_len = (CHUNKS - 1) * CHUNK + 1;

static struct hf_bytes
chunk_of(size_t index)
{
	size_t at = index * CHUNK;

	return bytes_of(
	    plain + at, plain_len - at < CHUNK ? plain_len - at : CHUNK);
}

static struct hf_sealer *
begin(struct hf_bytes *header)
{
	struct hf_sealer *sealer;

	assert_int_equal(hf_sealer_new(NULL, &how, &sealer, NULL), HF_OK);
	assert_int_equal(
	    stream_seal_begin_with(sealer, bytes_of(data_key, sizeof(data_key)),
		bytes_of(wrapped, sizeof(wrapped)), salt, header, NULL),
	    HF_OK);
	return sealer;
}

/* As one hand does it. */
static size_t
seal_alone(uint8_t out[CHUNKS * UNIT])
{
	struct hf_bytes header;
	struct hf_sealer *sealer = begin(&header);

	for (size_t i = 0; i < CHUNKS; i++)
		assert_int_equal(hf_seal_chunk(sealer, chunk_of(i),
				     i == CHUNKS - 1, out + i * UNIT, NULL),
		    HF_OK);
	hf_sealer_free(sealer);
	return (CHUNKS - 1) * UNIT + 1 + HF_STREAM_TAG;
}

static int
make_plaintext(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * i % 251);
	return 0;
}

static struct stream_lane *
lane_of(struct hf_sealer *sealer)
{
	struct stream_lane *lane;

	assert_int_equal(stream_lane_new(sealer, &lane, NULL), HF_OK);
	return lane;
}

static void
lanes_make_what_one_hand_makes(void **state)
{
	static uint8_t alone[CHUNKS * UNIT], out[CHUNKS * UNIT];
	struct hf_bytes header;
	struct hf_sealer *sealer = begin(&header);
	struct stream_lane *a = lane_of(sealer), *b = lane_of(sealer);
	size_t len = seal_alone(alone);
	uint64_t first;

	(void)state;
	assert_int_equal(
	    hf_seal_chunk(sealer, chunk_of(0), false, out, NULL), HF_OK);
	assert_int_equal(stream_lane_take(a, 2, &first, NULL), HF_OK);
	assert_int_equal(first, 1);
	assert_int_equal(stream_lane_take(b, 3, &first, NULL), HF_OK);
	assert_int_equal(first, 3);
	/* The later ones first. */
	for (size_t i = 3; i < 6; i++)
		assert_int_equal(
		    stream_lane_seal(b, chunk_of(i), out + i * UNIT, NULL),
		    HF_OK);
	for (size_t i = 1; i < 3; i++)
		assert_int_equal(
		    stream_lane_seal(a, chunk_of(i), out + i * UNIT, NULL),
		    HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, chunk_of(6), true, out + 6 * UNIT, NULL),
	    HF_OK);
	assert_memory_equal(out, alone, len);
	stream_lane_free(a);
	stream_lane_free(b);
	hf_sealer_free(sealer);
}

static void
a_lane_seals_no_more_than_it_took(void **state)
{
	uint8_t out[UNIT];
	struct hf_bytes header;
	struct hf_sealer *sealer = begin(&header);
	struct stream_lane *lane = lane_of(sealer);
	struct hf_why why = { "" };
	uint64_t first;

	(void)state;
	assert_int_equal(
	    stream_lane_seal(lane, chunk_of(0), out, NULL), HF_ERR_BAD_INPUT);
	assert_int_equal(stream_lane_take(lane, 1, &first, NULL), HF_OK);
	assert_int_equal(
	    stream_lane_seal(lane, bytes_of(plain, CHUNK - 1), out, &why),
	    HF_ERR_BAD_INPUT);
	assert_string_equal(
	    why.text, "a lane seals whole chunks, as many as it took");
	assert_int_equal(
	    stream_lane_seal(lane, bytes_of(plain, CHUNK + 1), out, NULL),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(stream_lane_seal(lane, chunk_of(0), out, NULL), HF_OK);
	assert_int_equal(
	    stream_lane_seal(lane, chunk_of(0), out, NULL), HF_ERR_BAD_INPUT);
	stream_lane_free(lane);
	hf_sealer_free(sealer);
}

static void
the_chunks_of_a_file_end(void **state)
{
	struct hf_bytes header;
	struct hf_sealer *sealer = begin(&header);
	struct stream_lane *lane = lane_of(sealer);
	struct hf_why why = { "" };
	uint8_t out[UNIT];
	uint64_t first = 99;

	(void)state;
	/* One is kept, to be the last. */
	assert_int_equal(stream_lane_take(lane, STREAM_CHUNKS, &first, &why),
	    HF_ERR_BAD_INPUT);
	assert_non_null(strstr(why.text, "as many chunks as there can be"));
	assert_int_equal(
	    stream_lane_take(lane, UINT64_MAX, &first, NULL), HF_ERR_BAD_INPUT);
	assert_int_equal(first, 99);
	assert_int_equal(
	    stream_lane_take(lane, STREAM_CHUNKS - 2, &first, NULL), HF_OK);
	assert_int_equal(first, 0);
	assert_int_equal(stream_lane_take(lane, 1, &first, NULL), HF_OK);
	assert_int_equal(first, STREAM_CHUNKS - 2);
	assert_int_equal(
	    stream_lane_take(lane, 1, &first, NULL), HF_ERR_BAD_INPUT);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(plain, 1), true, out, NULL), HF_OK);
	stream_lane_free(lane);
	hf_sealer_free(sealer);
}

static void
there_is_no_lane_without_a_file(void **state)
{
	struct hf_bytes header;
	struct hf_sealer *sealer;
	struct stream_lane *lane = NULL;
	struct hf_why why = { "" };
	uint8_t out[UNIT];
	uint64_t first;

	(void)state;
	assert_int_equal(hf_sealer_new(NULL, &how, &sealer, NULL), HF_OK);
	assert_int_equal(
	    stream_lane_new(sealer, &lane, NULL), HF_ERR_BAD_INPUT);
	assert_null(lane);
	assert_int_equal(
	    stream_seal_take(sealer, 1, &first, &why), HF_ERR_BAD_INPUT);
	assert_non_null(strstr(why.text, "no file was begun"));
	hf_sealer_free(sealer);

	sealer = begin(&header);
	lane = lane_of(sealer);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(plain, 1), true, out, NULL), HF_OK);
	/* Finished: nothing can come after its end. */
	assert_int_equal(
	    stream_lane_take(lane, 1, &first, NULL), HF_ERR_BAD_INPUT);
	stream_lane_free(lane);
	hf_sealer_free(sealer);
	stream_lane_free(NULL);
}

/* In the child: 0 when it gets nothing of the file of its parent. */
static int
child_of_a_fork(struct hf_sealer *sealer, const struct hf_opener *opener)
{
	struct stream_lane *lane;
	struct hf_opener *copy;
	uint64_t first;

	if (stream_seal_take(sealer, 1, &first, NULL) != HF_ERR_BAD_INPUT)
		return 1; /* would use the nonces of the parent */
	if (stream_lane_new(sealer, &lane, NULL) != HF_ERR_BAD_INPUT)
		return 2;
	/* Would have a key of zeros, which is what is left of it here. */
	if (stream_opener_copy(opener, &copy, NULL) != HF_ERR_BAD_INPUT)
		return 3;
	return 0;
}

static struct hf_opener *
opener_of(struct hf_bytes header)
{
	struct hf_opener *opener;

	assert_int_equal(
	    stream_opener_with(bytes_of(data_key, sizeof(data_key)), header,
		NULL, &opener, NULL),
	    HF_OK);
	return opener;
}

static void
a_child_gets_no_lane(void **state)
{
	struct hf_bytes header;
	struct hf_sealer *sealer = begin(&header);
	struct hf_opener *opener = opener_of(header);
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(child_of_a_fork(sealer, opener));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	hf_opener_free(opener);
	hf_sealer_free(sealer);
}

static void
a_copy_opens_the_same_and_nothing_else(void **state)
{
	static uint8_t sealed[CHUNKS * UNIT];
	uint8_t out[CHUNK];
	struct hf_bytes header;
	struct hf_sealer *sealer = begin(&header);
	struct hf_opener *opener = opener_of(header), *copy;

	(void)state;
	(void)seal_alone(sealed);
	assert_int_equal(stream_opener_copy(opener, &copy, NULL), HF_OK);
	/* It stands alone. */
	hf_opener_free(opener);
	assert_int_equal(hf_opener_info(copy)->chunk_size, CHUNK);
	assert_memory_equal(hf_opener_info(copy)->key.ptr, "payments", 8);
	assert_int_equal(hf_open_chunk(copy, 4, false,
			     bytes_of(sealed + 4 * UNIT, UNIT), out, NULL),
	    HF_OK);
	assert_memory_equal(out, plain + 4 * CHUNK, CHUNK);
	assert_int_equal(hf_open_chunk(copy, 3, false,
			     bytes_of(sealed + 4 * UNIT, UNIT), out, NULL),
	    HF_ERR_AUTH_FAILED);
	sealed[9] ^= 1;
	assert_int_equal(
	    hf_open_chunk(copy, 0, false, bytes_of(sealed, UNIT), out, NULL),
	    HF_ERR_AUTH_FAILED);
	hf_opener_free(copy);
	hf_sealer_free(sealer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lanes_make_what_one_hand_makes),
		cmocka_unit_test(a_lane_seals_no_more_than_it_took),
		cmocka_unit_test(the_chunks_of_a_file_end),
		cmocka_unit_test(there_is_no_lane_without_a_file),
		cmocka_unit_test(a_child_gets_no_lane),
		cmocka_unit_test(a_copy_opens_the_same_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, make_plaintext, NULL);
}
