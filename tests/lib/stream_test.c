/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_fixture.h"

/* The promises of holdfast/stream.h, without a service: chunks, and what was
 * done to them. */

/* -- Tampering -- */

static void
a_file_opens_under_one_key_only(void **state)
{
	struct buffer b = seal(100), plain;

	(void)state;
	assert_int_equal(
	    open_with(other_key, buffer_view(&b), &plain), HF_ERR_AUTH_FAILED);
	assert_int_equal(plain.len, 0);
	buffer_free(&b);
}

static void
no_bit_of_the_bound_header_can_change(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	/* Up to the end of the commitment; the rest: by the service, below. */
	for (size_t i = 0; i < 8 * (56 + 13 + 32); i++) {
		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
		if (open_only(buffer_view(&b)) == HF_OK)
			fail_msg("bit %zu", i);
		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	buffer_free(&b);
}

static void
no_bit_of_the_chunks_can_change(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	for (size_t i = header; i < b.len; i++) {
		b.ptr[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
		b.ptr[i] ^= (uint8_t)(1 << i % 8);
	}
	buffer_free(&b);
}

static void
a_file_that_was_cut_anywhere_does_not_open(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	for (size_t n = 0; n < b.len; n++) {
		enum hf_err err = open_only(bytes_of(b.ptr, n));

		if (err != HF_ERR_TRUNCATED && err != HF_ERR_AUTH_FAILED &&
		    n > 0)
			fail_msg("cut to %zu: %s", n, hf_err_name(err));
		assert_int_not_equal(err, HF_OK);
	}
	buffer_free(&b);
}

static void
a_file_that_was_cut_between_chunks_is_truncated(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	for (size_t whole = 0; whole <= 2; whole++)
		assert_int_equal(
		    open_only(bytes_of(b.ptr, header + whole * UNIT)),
		    HF_ERR_TRUNCATED);
	buffer_free(&b);
}

static void
nothing_can_be_appended(void **state)
{
	static const size_t more[] = { 1, 15, 16, 17, UNIT - 116, UNIT,
		2 * UNIT };
	const size_t lengths[] = { 0, 100, CHUNK, 2 * CHUNK };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < sizeof(more) / sizeof(more[0]); k++) {
			struct buffer b = seal(lengths[i]);
			size_t len = b.len;

			assert_int_equal(
			    buffer_reserve(&b, len + more[k]), HF_OK);
			memset(b.ptr + len, 0, more[k]);
			b.len += more[k];
			assert_int_not_equal(open_only(buffer_view(&b)), HF_OK);
			buffer_free(&b);
		}
}

static void
a_second_file_cannot_follow(void **state)
{
	struct buffer b = seal(CHUNK), c = seal(CHUNK);
	struct hf_bytes second = { c.ptr + 512, c.len - 512 };

	(void)state;
	assert_int_equal(buffer_add(&b, second), HF_OK);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
chunks_cannot_change_places(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);
	uint8_t *first = b.ptr + header, kept[UNIT];

	(void)state;
	memcpy(kept, first, UNIT);
	memcpy(first, first + UNIT, UNIT);
	memcpy(first + UNIT, kept, UNIT);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
}

static void
a_chunk_cannot_stand_twice_or_be_left_out(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header), c = three_chunks(&header);
	uint8_t *first = b.ptr + header;

	(void)state;
	memcpy(first + UNIT, first, UNIT); /* 0 0 2 */
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	memmove(c.ptr + header, c.ptr + header + UNIT,
	    c.len - header - UNIT); /* 1 2 */
	c.len -= UNIT;
	assert_int_equal(open_only(buffer_view(&c)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
a_chunk_cannot_come_from_another_file_of_the_data_key(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);
	struct buffer c =
	    seal_with(&usual, data_key, other_salt, WRAPPED, 2 * CHUNK + 100);

	(void)state;
	memcpy(b.ptr + header, c.ptr + header, UNIT);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
headers_cannot_be_swapped(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);
	struct hf_seal_how how = usual;
	struct buffer c;

	(void)state;
	how.context_count = 0;
	c = seal_with(&how, data_key, salt, WRAPPED, 2 * CHUNK + 100);
	memcpy(b.ptr, c.ptr, header);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
an_empty_chunk_ends_nothing_but_an_empty_file(void **state)
{
	struct buffer b = seal(CHUNK);
	struct stream_header h;
	struct stream_keys keys = { 0 };
	struct hf_opener *opener;
	uint8_t commitment[STREAM_COMMITMENT], out[CHUNK];

	(void)state;
	/* What a careless writer would make: authentic, but not our form. */
	assert_int_equal(stream_header_read(buffer_view(&b), &h, NULL), HF_OK);
	assert_int_equal(stream_keys_derive(DATA_KEY, h.bound, h.salt, true,
			     &keys, commitment),
	    HF_OK);
	assert_int_equal(buffer_reserve(&b, 512 + UNIT + HF_STREAM_TAG), HF_OK);
	assert_int_equal(stream_keys_seal(&keys, 0, false,
			     bytes_of(data_key, 0), b.ptr + 512 + UNIT),
	    HF_OK);
	assert_int_equal(stream_keys_seal(&keys, 1, true, bytes_of(data_key, 0),
			     b.ptr + 512 + UNIT),
	    HF_OK);
	b.len = 512 + UNIT + HF_STREAM_TAG;
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_TRUNCATED);
	assert_int_equal(
	    stream_opener_with(DATA_KEY, buffer_view(&b), NULL, &opener, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_open_chunk(opener, 1, true,
		bytes_of(b.ptr + 512 + UNIT, HF_STREAM_TAG), out, NULL),
	    HF_ERR_TRUNCATED);
	hf_opener_free(opener);
	stream_keys_free(&keys);
	buffer_free(&b);
}

static void
nothing_is_left_of_a_chunk_that_is_not_authentic(void **state)
{
	static const uint8_t zero[CHUNK];
	size_t header;
	struct buffer b = three_chunks(&header);
	struct hf_opener *opener;
	uint8_t out[CHUNK];

	(void)state;
	assert_int_equal(
	    stream_opener_with(DATA_KEY, buffer_view(&b), NULL, &opener, NULL),
	    HF_OK);
	/* Changed; taken for the last one; and the last for another. */
	b.ptr[header + UNIT - 1] ^= 1;
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(hf_open_chunk(opener, 0, false,
			     bytes_of(b.ptr + header, UNIT), out, NULL),
	    HF_ERR_AUTH_FAILED);
	assert_memory_equal(out, zero, CHUNK);
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(hf_open_chunk(opener, 1, true,
			     bytes_of(b.ptr + header + UNIT, UNIT), out, NULL),
	    HF_ERR_TRUNCATED);
	assert_memory_equal(out, zero, CHUNK);
	assert_int_equal(hf_open_chunk(opener, 1, false,
			     bytes_of(b.ptr + header + UNIT, UNIT), out, NULL),
	    HF_OK);
	assert_int_not_equal(out[100], 0);
	hf_opener_free(opener);
	buffer_free(&b);
}

static void
chunks_open_in_any_order(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header), expected;
	struct hf_opener *opener;
	uint8_t out[CHUNK];

	(void)state;
	fill(&expected, 2 * CHUNK + 100);
	assert_int_equal(
	    stream_opener_with(DATA_KEY, buffer_view(&b), NULL, &opener, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_open_chunk(opener, 2, true,
		bytes_of(b.ptr + header + 2 * UNIT, 100 + HF_STREAM_TAG), out,
		NULL),
	    HF_OK);
	assert_memory_equal(out, expected.ptr + 2 * CHUNK, 100);
	assert_int_equal(hf_open_chunk(opener, 0, false,
			     bytes_of(b.ptr + header, UNIT), out, NULL),
	    HF_OK);
	assert_memory_equal(out, expected.ptr, CHUNK);
	assert_int_equal(hf_open_chunk(opener, UINT64_C(1) << 32, false,
			     bytes_of(b.ptr + header, UNIT), out, NULL),
	    HF_ERR_BAD_INPUT);
	hf_opener_free(opener);
	buffer_free(&b);
	buffer_free(&expected);
}

/* -- Sealing, chunk by chunk -- */

static void
the_sealer_takes_whole_chunks_and_one_end(void **state)
{
	struct hf_sealer *sealer;
	struct hf_bytes header;
	uint8_t in[CHUNK + 1] = { 0 }, out[UNIT + 1];

	(void)state;
	assert_int_equal(hf_sealer_new(NULL, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK), false, out, NULL),
	    HF_ERR_BAD_INPUT); /* not begun */
	assert_int_equal(stream_seal_begin_with(
			     sealer, DATA_KEY, WRAPPED, salt, &header, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK - 1), false, out, NULL),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK + 1), true, out, NULL),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK), false, out, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, 0), true, out, NULL),
	    HF_ERR_BAD_INPUT); /* would be another form of the same */
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, 1), true, out, NULL), HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, 1), true, out, NULL),
	    HF_ERR_BAD_INPUT); /* it ended */
	hf_sealer_free(sealer);
}

static void
sealing_in_place_gives_the_same(void **state)
{
	struct buffer expected = seal(100), plain;
	struct hf_sealer *sealer;
	struct hf_bytes header;
	uint8_t buf[100 + HF_STREAM_TAG];

	(void)state;
	fill(&plain, 100);
	memcpy(buf, plain.ptr, 100);
	assert_int_equal(hf_sealer_new(NULL, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(stream_seal_begin_with(
			     sealer, DATA_KEY, WRAPPED, salt, &header, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(buf, 100), true, buf, NULL), HF_OK);
	assert_memory_equal(buf, expected.ptr + 512, sizeof(buf));
	hf_sealer_free(sealer);
	buffer_free(&expected);
	buffer_free(&plain);
}

static void
what_cannot_be_sealed_is_refused_at_once(void **state)
{
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	static const uint32_t sizes[] = { 1, 4095, 4097, 65535, 2048, 2 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		how.chunk_size = sizes[i];
		assert_int_equal(
		    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_BAD_VALUE);
	}
	how = usual;
	how.key = TEXT("../x");
	assert_int_equal(
	    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_BAD_NAME);
	how.key = (struct hf_text){ 0 };
	assert_int_equal(
	    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_BAD_NAME);
	how = usual;
	how.context_count = HF_STREAM_CONTEXT_MAX + 1;
	assert_int_equal(
	    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_OUT_OF_BOUNDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_opens_under_one_key_only),
		cmocka_unit_test(no_bit_of_the_bound_header_can_change),
		cmocka_unit_test(no_bit_of_the_chunks_can_change),
		cmocka_unit_test(a_file_that_was_cut_anywhere_does_not_open),
		cmocka_unit_test(
		    a_file_that_was_cut_between_chunks_is_truncated),
		cmocka_unit_test(nothing_can_be_appended),
		cmocka_unit_test(a_second_file_cannot_follow),
		cmocka_unit_test(chunks_cannot_change_places),
		cmocka_unit_test(a_chunk_cannot_stand_twice_or_be_left_out),
		cmocka_unit_test(
		    a_chunk_cannot_come_from_another_file_of_the_data_key),
		cmocka_unit_test(headers_cannot_be_swapped),
		cmocka_unit_test(an_empty_chunk_ends_nothing_but_an_empty_file),
		cmocka_unit_test(
		    nothing_is_left_of_a_chunk_that_is_not_authentic),
		cmocka_unit_test(chunks_open_in_any_order),
		cmocka_unit_test(the_sealer_takes_whole_chunks_and_one_end),
		cmocka_unit_test(sealing_in_place_gives_the_same),
		cmocka_unit_test(what_cannot_be_sealed_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
