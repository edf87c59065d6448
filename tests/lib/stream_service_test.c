/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_fixture.h"

/* Sealed files with a service that gives and opens data keys. */

/* -- With a service -- */

/* What the service was asked, and how it is to behave. */
struct service {
	struct server *server;
	struct hf_client *client;
	_Atomic unsigned data_keys, decrypts; /* requests */
	uint64_t key_version;
	size_t rewrapped_length;
	size_t key_length; /* bytes of the data keys that it gives */
	bool had_context;
};

/* Of an item of any operation: they have the same names. */
#define CONTEXT_FITS(item)                      \
	context_fits((item).encryption_context, \
	    (item).encryption_context_count, (item).associated_data)

static bool
context_fits(const struct hf_pair *pairs, size_t count, struct hf_bytes aad)
{
	return count == 1 && text_is(pairs[0].name, "tenant") &&
	    text_is(pairs[0].value, "acme") && aad.ptr == NULL;
}

static void
serve_data_key(struct service *service, struct server_request *r)
{
	const struct hf_datakey_in *in = r->in;
	struct hf_datakey_out out = {
		.result.plaintext = bytes_of(data_key, service->key_length),
		.result.ciphertext = WRAPPED,
		.result.key_version = 3,
	};

	service->data_keys++;
	service->key_version = in->item.key_version.value;
	service->had_context = CONTEXT_FITS(in->item);
	assert_int_equal(in->item.bits, 256);
	server_answer(r, &out);
}

static void
serve_decrypt(struct service *service, struct server_request *r)
{
	const struct hf_decrypt_in *in = r->in;
	struct hf_decrypt_out out = { .result.plaintext = DATA_KEY };
	struct hf_bytes wrapped_anew =
	    bytes_of(rewrapped, service->rewrapped_length);

	service->decrypts++;
	if (!text_is(in->name, "payments"))
		server_refuse(r, HF_ERR_KEY_NOT_FOUND, NULL);
	else if (CONTEXT_FITS(in->item) &&
	    (bytes_equal(in->item.ciphertext, WRAPPED) ||
		bytes_equal(in->item.ciphertext, wrapped_anew)))
		server_answer(r, &out);
	else
		server_refuse(r, HF_ERR_AUTH_FAILED, NULL);
}

static void
serve_rewrap(struct service *service, struct server_request *r)
{
	const struct hf_rewrap_in *in = r->in;
	struct hf_rewrap_out out = { .result.ciphertext = bytes_of(rewrapped,
					 service->rewrapped_length) };

	if (bytes_equal(in->item.ciphertext, WRAPPED) &&
	    text_is(in->name, "payments") && CONTEXT_FITS(in->item))
		server_answer(r, &out);
	else
		server_refuse(r, HF_ERR_AUTH_FAILED, NULL);
}

static enum server_act
serve(struct server *s, struct server_request *r)
{
	struct service *service = s->ctx;

	assert_non_null(r->in);
	if (r->op->id == OP_transit_datakey_plaintext)
		serve_data_key(service, r);
	else if (r->op->id == OP_transit_decrypt)
		serve_decrypt(service, r);
	else
		serve_rewrap(service, r);
	return ACT_REPLY;
}

static struct service *
service_start(void)
{
	static struct service service;

	service = (struct service){ .key_length = 32,
		.rewrapped_length = sizeof(rewrapped) };
	service.server = server_start(serve, &service);
	assert_int_equal(
	    hf_connect(service.server->path, 5000, &service.client, NULL),
	    HF_OK);
	return &service;
}

static void
service_stop(struct service *s)
{
	hf_close(s->client);
	server_free(s->server);
}

/* A file in memory, read from its beginning. */
static int
file_of(struct hf_bytes content)
{
	int fd = memfd_create("stream_test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.ptr, content.len), content.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static struct buffer
content_of(int fd)
{
	struct buffer b = { 0 };
	off_t len = lseek(fd, 0, SEEK_END);

	assert_true(len >= 0);
	assert_int_equal(buffer_reserve(&b, (size_t)len + 1), HF_OK);
	assert_int_equal(pread(fd, b.ptr, (size_t)len, 0), len);
	b.len = (size_t)len;
	return b;
}

static struct buffer
seal_file(struct service *s, const struct hf_seal_how *how, size_t len)
{
	struct hf_sealer *sealer;
	struct buffer plain, sealed;
	int in, out = file_of(bytes_of(NULL, 0));

	fill(&plain, len);
	in = file_of(buffer_view(&plain));
	assert_int_equal(hf_sealer_new(s->client, how, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_fd(sealer, in, out, NULL), HF_OK);
	hf_sealer_free(sealer);
	sealed = content_of(out);
	(void)close(in);
	(void)close(out);
	buffer_free(&plain);
	return sealed;
}

static enum hf_err
open_file(struct service *s, const struct hf_open_how *how,
    struct hf_bytes sealed, struct buffer *plain)
{
	int in = file_of(sealed), out = file_of(bytes_of(NULL, 0));
	enum hf_err err = hf_open_fd(s->client, how, in, out, NULL);

	*plain = content_of(out);
	(void)close(in);
	(void)close(out);
	return err;
}

static void
files_of_all_sizes_come_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, CHUNK - 1, CHUNK,
		CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 300000 };
	struct service *s = service_start();

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buffer b = seal_file(s, &usual, sizes[i]), plain;
		struct hf_stream_info info;
		uint64_t chunks, size;

		assert_int_equal(
		    hf_stream_read(buffer_view(&b), &info, NULL), HF_OK);
		assert_int_equal(
		    hf_stream_locate(&info, b.len, &chunks, &size, NULL),
		    HF_OK);
		assert_int_equal(size, sizes[i]);
		assert_int_equal(
		    open_file(s, NULL, buffer_view(&b), &plain), HF_OK);
		assert_plain(&plain, sizes[i]);
		buffer_free(&b);
		buffer_free(&plain);
	}
	assert_true(s->had_context);
	assert_int_equal(s->data_keys, sizeof(sizes) / sizeof(sizes[0]));
	assert_int_equal(s->decrypts, s->data_keys);
	service_stop(s);
}

static void
no_bit_of_the_rest_of_the_header_can_change(void **state)
{
	struct service *s = service_start();
	struct buffer b = seal(10);

	(void)state;
	for (size_t i = 8 * (56 + 13 + 32); i < 8 * 512; i++) {
		struct hf_opener *opener;

		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
		if (hf_opener_new(s->client, buffer_view(&b), NULL, &opener,
			NULL) == HF_OK)
			fail_msg("bit %zu", i);
		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	buffer_free(&b);
	service_stop(s);
}

static void
two_files_of_one_plaintext_have_nothing_in_common(void **state)
{
	struct service *s = service_start();
	struct buffer a = seal_file(s, &usual, CHUNK);
	struct buffer b = seal_file(s, &usual, CHUNK);

	(void)state;
	for (size_t at = 512; at < a.len; at += 16)
		assert_memory_not_equal(a.ptr + at, b.ptr + at, 16);
	assert_memory_not_equal(a.ptr + 24, b.ptr + 24, 32);
	buffer_free(&a);
	buffer_free(&b);
	service_stop(s);
}

static void
what_is_written_before_an_error_is_the_true_beginning(void **state)
{
	struct service *s = service_start();
	size_t header;
	struct buffer b = three_chunks(&header), plain;

	(void)state;
	assert_int_equal(
	    open_file(s, NULL, bytes_of(b.ptr, header + 2 * UNIT), &plain),
	    HF_ERR_TRUNCATED);
	assert_plain(&plain, CHUNK);
	buffer_free(&plain);
	b.ptr[b.len - 1] ^= 1;
	assert_int_equal(
	    open_file(s, NULL, buffer_view(&b), &plain), HF_ERR_AUTH_FAILED);
	assert_plain(&plain, 2 * CHUNK);
	buffer_free(&plain);
	buffer_free(&b);
	service_stop(s);
}

static void
an_unwritable_output_is_an_error(void **state)
{
	struct service *s = service_start();
	struct hf_sealer *sealer;
	struct buffer b = seal(10);
	int in = file_of(buffer_view(&b)), full;

	(void)state;
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_int_equal(
	    hf_open_fd(s->client, NULL, in, full, NULL), HF_ERR_SYSTEM);
	assert_int_equal(
	    hf_sealer_new(s->client, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_fd(sealer, in, full, NULL), HF_ERR_SYSTEM);
	assert_int_equal(hf_seal_fd(sealer, -1, full, NULL), HF_ERR_SYSTEM);
	hf_sealer_free(sealer);
	(void)close(in);
	(void)close(full);
	buffer_free(&b);
	service_stop(s);
}

static void
a_file_of_another_context_is_refused_unasked(void **state)
{
	static const struct hf_pair wrong[] = {
		{ { "tenant", 6 }, { "evil", 4 } },
		{ { "tenan", 5 }, { "acme", 4 } },
	};
	struct service *s = service_start();
	struct buffer b = seal(10), plain;
	struct hf_open_how how = { .context = &tenant, .context_count = 1 };

	(void)state;
	assert_int_equal(open_file(s, &how, buffer_view(&b), &plain), HF_OK);
	buffer_free(&plain);
	for (size_t i = 0; i < 2; i++) {
		how.context = &wrong[i];
		assert_int_equal(open_file(s, &how, buffer_view(&b), &plain),
		    HF_ERR_AUTH_FAILED);
		buffer_free(&plain);
	}
	assert_int_equal(s->decrypts, 1);
	buffer_free(&b);
	service_stop(s);
}

static void
the_key_can_be_named_anew(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how old = usual;
	struct hf_open_how how = { .key = TEXT("payments") };
	struct buffer b, plain;

	(void)state;
	old.key = TEXT("old-name");
	b = seal_file(s, &old, 10);
	assert_int_equal(
	    open_file(s, NULL, buffer_view(&b), &plain), HF_ERR_KEY_NOT_FOUND);
	buffer_free(&plain);
	assert_int_equal(open_file(s, &how, buffer_view(&b), &plain), HF_OK);
	buffer_free(&plain);
	buffer_free(&b);
	service_stop(s);
}

static void
a_data_key_can_be_wrapped_anew(void **state)
{
	struct service *s = service_start();
	struct buffer b = seal_file(s, &usual, CHUNK + 1), plain;
	struct hf_stream_info info;
	uint8_t header[HF_STREAM_HEADER_MAX];

	(void)state;
	assert_int_equal(hf_stream_rewrap(s->client, buffer_view(&b),
			     (struct hf_uint){ 0 }, header, NULL),
	    HF_OK);
	memcpy(b.ptr, header, 512);
	assert_int_equal(hf_stream_read(buffer_view(&b), &info, NULL), HF_OK);
	assert_int_equal(info.key_version, 4);
	assert_int_equal(info.wrapped.len, sizeof(rewrapped));
	assert_int_equal(open_file(s, NULL, buffer_view(&b), &plain), HF_OK);
	assert_plain(&plain, CHUNK + 1);
	buffer_free(&plain);
	buffer_free(&b);
	service_stop(s);
}

static void
a_header_without_room_is_not_rewrapped(void **state)
{
	struct hf_seal_how how = usual;
	struct stream_header h;
	struct buffer b;
	uint8_t header[HF_STREAM_HEADER_MAX];
	char value[320];
	struct hf_pair pair = { { "tenant", 6 }, { value, sizeof(value) } };

	(void)state;
	memset(value, 'v', sizeof(value));
	how.context = &pair;
	b = seal_with(&how, data_key, salt, WRAPPED, 1);
	assert_int_equal(header_size(buffer_view(&b)), 512);
	assert_int_equal(stream_header_read(buffer_view(&b), &h, NULL), HF_OK);
	assert_int_equal(stream_header_replace(&h, WRAPPED, header), HF_OK);
	assert_memory_equal(header, b.ptr, 512);
	assert_int_equal(stream_header_replace(&h,
			     bytes_of(rewrapped, sizeof(rewrapped)), header),
	    HF_ERR_OUT_OF_BOUNDS);
	buffer_free(&b);
}

static void
a_data_key_of_another_length_is_refused(void **state)
{
	struct service *s = service_start();
	struct hf_sealer *sealer;
	struct hf_bytes header;

	(void)state;
	s->key_length = 16;
	assert_int_equal(
	    hf_sealer_new(s->client, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(
	    hf_seal_begin(sealer, &header, NULL), HF_ERR_BAD_REPLY);
	hf_sealer_free(sealer);
	service_stop(s);
}

/* -- Reuse of data keys -- */

static unsigned
asked_for(struct service *s, uint32_t files, uint32_t seconds, unsigned begun)
{
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct hf_bytes header;
	unsigned before = s->data_keys;

	how.reuse_files = files;
	how.reuse_seconds = seconds;
	how.key_version = (struct hf_uint){ 3, true };
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	for (unsigned i = 0; i < begun; i++)
		assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	hf_sealer_free(sealer);
	assert_int_equal(s->key_version, 3);
	return s->data_keys - before;
}

static void
a_data_key_serves_as_many_files_as_it_may(void **state)
{
	struct service *s = service_start();

	(void)state;
	assert_int_equal(asked_for(s, 0, 0, 3), 3);
	assert_int_equal(asked_for(s, 1, 100, 3), 3);
	assert_int_equal(asked_for(s, 10, 100, 10), 1);
	assert_int_equal(asked_for(s, 10, 100, 11), 2);
	assert_int_equal(asked_for(s, 10, 0, 25), 3);
	service_stop(s);
}

static void
a_data_key_serves_as_long_as_it_may(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct hf_bytes header;

	(void)state;
	how.reuse_files = 1000;
	how.reuse_seconds = 1;
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	(void)usleep(1100000);
	assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	assert_int_equal(s->data_keys, 2);
	hf_sealer_free(sealer);
	service_stop(s);
}

static void
files_of_one_data_key_have_keys_of_their_own(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct buffer a, b;
	int in = file_of(bytes_of(salt, 32)), out[2];

	(void)state;
	how.reuse_files = 2;
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	for (size_t i = 0; i < 2; i++) {
		out[i] = file_of(bytes_of(NULL, 0));
		assert_int_equal(lseek(in, 0, SEEK_SET), 0);
		assert_int_equal(hf_seal_fd(sealer, in, out[i], NULL), HF_OK);
	}
	a = content_of(out[0]);
	b = content_of(out[1]);
	assert_int_equal(s->data_keys, 1);
	assert_memory_not_equal(a.ptr + 512, b.ptr + 512, 16);
	assert_int_equal(open_only(buffer_view(&a)), HF_OK);
	assert_int_equal(open_only(buffer_view(&b)), HF_OK);
	hf_sealer_free(sealer);
	buffer_free(&a);
	buffer_free(&b);
	(void)close(in);
	(void)close(out[0]);
	(void)close(out[1]);
	service_stop(s);
}

/* In the child: 0 when all is as it should be. */
static int
child_of_a_fork(struct hf_sealer *sealer)
{
	uint8_t in[CHUNK] = { 1 }, out[UNIT];
	struct hf_bytes header;

	if (hf_seal_chunk(sealer, bytes_of(in, CHUNK), false, out, NULL) !=
	    HF_ERR_BAD_INPUT)
		return 1; /* would use the nonces of the parent */
	if (hf_seal_begin(sealer, &header, NULL) != HF_OK)
		return 2;
	if (hf_seal_chunk(sealer, bytes_of(in, 1), true, out, NULL) != HF_OK)
		return 3;
	return 0;
}

static void
a_child_does_not_go_on_with_a_file_but_begins_one(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct hf_bytes header;
	uint8_t in[CHUNK] = { 0 }, out[UNIT];
	int status;
	pid_t child;

	(void)state;
	how.reuse_files = 100;
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	child = fork();
	if (child == 0)
		_exit(child_of_a_fork(sealer));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* The child has no data key: locked memory does not pass a fork. */
	assert_int_equal(s->data_keys, 2);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK), true, out, NULL), HF_OK);
	hf_sealer_free(sealer);
	service_stop(s);
}

/* -- Random access -- */

static void
any_part_can_be_read(void **state)
{
	static const size_t points[] = { 0, 1, CHUNK - 1, CHUNK, CHUNK + 1,
		2 * CHUNK, 2 * CHUNK + 99, 2 * CHUNK + 100, 3 * CHUNK,
		1 << 20 };
	const size_t len = 2 * CHUNK + 100;
	struct service *s = service_start();
	size_t header, n = sizeof(points) / sizeof(points[0]);
	struct buffer b = three_chunks(&header), expected;
	int fd = file_of(buffer_view(&b));
	struct hf_sealed *file;
	static uint8_t out[1 << 20];

	(void)state;
	fill(&expected, len);
	assert_int_equal(
	    hf_sealed_open(s->client, NULL, fd, &file, NULL), HF_OK);
	assert_int_equal(hf_sealed_size(file), len);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			size_t at = points[i] < len ? points[i] : len;
			size_t most =
			    len - at < points[k] ? len - at : points[k];
			size_t done;

			assert_int_equal(hf_sealed_read(file, points[i], out,
					     points[k], &done, NULL),
			    HF_OK);
			assert_int_equal(done, most);
			assert_memory_equal(out, expected.ptr + at, most);
		}
	assert_int_equal(s->decrypts, 1);
	hf_sealed_close(file);
	(void)close(fd);
	buffer_free(&b);
	buffer_free(&expected);
	service_stop(s);
}

static void
the_empty_file_has_no_part(void **state)
{
	struct service *s = service_start();
	struct buffer b = seal(0);
	int fd = file_of(buffer_view(&b));
	struct hf_sealed *file;
	uint8_t out[1];
	size_t done;

	(void)state;
	assert_int_equal(
	    hf_sealed_open(s->client, NULL, fd, &file, NULL), HF_OK);
	assert_int_equal(hf_sealed_size(file), 0);
	assert_int_equal(hf_sealed_read(file, 0, out, 1, &done, NULL), HF_OK);
	assert_int_equal(done, 0);
	hf_sealed_close(file);
	(void)close(fd);
	buffer_free(&b);
	service_stop(s);
}

static void
random_access_proves_the_end_first(void **state)
{
	struct service *s = service_start();
	size_t header;
	struct buffer b = three_chunks(&header);
	struct hf_sealed *file;
	int fd, fds[2];

	(void)state;
	for (size_t cut = 1; cut < 2 * UNIT; cut += 50) {
		enum hf_err err;

		fd = file_of(bytes_of(b.ptr, b.len - cut));
		err = hf_sealed_open(s->client, NULL, fd, &file, NULL);
		assert_true(
		    err == HF_ERR_TRUNCATED || err == HF_ERR_AUTH_FAILED);
		(void)close(fd);
	}
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(hf_sealed_open(s->client, NULL, fds[0], &file, NULL),
	    HF_ERR_BAD_INPUT);
	(void)close(fds[0]);
	(void)close(fds[1]);
	buffer_free(&b);
	service_stop(s);
}

static void
a_file_that_changes_under_us_is_noticed(void **state)
{
	struct service *s = service_start();
	size_t header;
	struct buffer b = three_chunks(&header);
	int fd = file_of(buffer_view(&b));
	struct hf_sealed *file;
	uint8_t out[CHUNK], bad = b.ptr[header + 9] ^ 1;
	size_t done;

	(void)state;
	assert_int_equal(
	    hf_sealed_open(s->client, NULL, fd, &file, NULL), HF_OK);
	assert_int_equal(pwrite(fd, &bad, 1, (off_t)header + 9), 1);
	assert_int_equal(
	    hf_sealed_read(file, 0, out, 1, &done, NULL), HF_ERR_AUTH_FAILED);
	assert_int_equal(
	    hf_sealed_read(file, CHUNK, out, CHUNK, &done, NULL), HF_OK);
	assert_int_equal(ftruncate(fd, (off_t)header + 10), 0);
	assert_int_equal(
	    hf_sealed_read(file, 0, out, 1, &done, NULL), HF_ERR_TRUNCATED);
	hf_sealed_close(file);
	(void)close(fd);
	buffer_free(&b);
	service_stop(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_all_sizes_come_back),
		cmocka_unit_test(no_bit_of_the_rest_of_the_header_can_change),
		cmocka_unit_test(
		    two_files_of_one_plaintext_have_nothing_in_common),
		cmocka_unit_test(
		    what_is_written_before_an_error_is_the_true_beginning),
		cmocka_unit_test(an_unwritable_output_is_an_error),
		cmocka_unit_test(a_file_of_another_context_is_refused_unasked),
		cmocka_unit_test(the_key_can_be_named_anew),
		cmocka_unit_test(a_data_key_can_be_wrapped_anew),
		cmocka_unit_test(a_header_without_room_is_not_rewrapped),
		cmocka_unit_test(a_data_key_of_another_length_is_refused),
		cmocka_unit_test(a_data_key_serves_as_many_files_as_it_may),
		cmocka_unit_test(a_data_key_serves_as_long_as_it_may),
		cmocka_unit_test(files_of_one_data_key_have_keys_of_their_own),
		cmocka_unit_test(
		    a_child_does_not_go_on_with_a_file_but_begins_one),
		cmocka_unit_test(any_part_can_be_read),
		cmocka_unit_test(the_empty_file_has_no_part),
		cmocka_unit_test(random_access_proves_the_end_first),
		cmocka_unit_test(a_file_that_changes_under_us_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
