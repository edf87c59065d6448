/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/upkeep.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../keyd/key_plan.h"
#include "../../lib/bytes.h"
#include "service_fixture.h"

/* CK5, T7: the promises of upkeep.h and key_plan.h, and of a key's limit, over
 * a real SoftHSM; what time it is the tests say. */

enum { HOUR = 3600, DAY = 86400 };

static struct server *server;

static int
setup(void **state)
{
	if (service_setup(state) != 0)
		return -1;
	server = &service.server;
	server->lately = 30 * DAY;
	return 0;
}

/* -- What operators do -- */

static enum hf_err
call(const char *op, const void *in, void *out)
{
	return service_call(&service, op, in, out, &why);
}

static void
make(const char *name, const char *type, uint64_t period)
{
	struct hf_key_create_in in = { .name = text_of(name),
		.type = text_of(type),
		.deletion_allowed = true,
		.auto_rotate_period = period };
	struct hf_key_info out;

	assert_int_equal(call("key.create", &in, &out), HF_OK);
}

static struct hf_key_info
show(const char *name)
{
	struct hf_key_read_in in = { .name = text_of(name) };
	struct hf_key_info out;

	assert_int_equal(call("key.read", &in, &out), HF_OK);
	return out;
}

static void
rotate(const char *name)
{
	struct hf_name_in in = { text_of(name) };
	struct hf_key_info out;

	assert_int_equal(call("key.rotate", &in, &out), HF_OK);
}

static enum hf_err
config(const struct hf_key_config_in *in)
{
	struct hf_key_info out;

	return call("key.config", in, &out);
}

static struct hf_uint
number(uint64_t v)
{
	return (struct hf_uint){ v, true };
}

/* In the text form, which stays when the reply has gone. */
static enum hf_err
encrypt(const char *name, struct hf_uint version, char out[256])
{
	struct hf_encrypt_in in = { .name = text_of(name),
		.item = { .plaintext = bytes_of("secret", 6),
		    .key_version = version },
		.format = TEXT("text") };
	struct hf_encrypt_out res;
	enum hf_err err = call("transit.encrypt", &in, &res);

	if (err == HF_OK)
		(void)snprintf(out, 256, "%.*s", (int)res.result.ciphertext.len,
		    (const char *)res.result.ciphertext.ptr);
	return err;
}

static enum hf_err
decrypt(const char *name, const char *ciphertext)
{
	struct hf_decrypt_in in = { .name = text_of(name),
		.item = {
		    .ciphertext = bytes_of(ciphertext, strlen(ciphertext)) } };
	struct hf_decrypt_out out;

	return call("transit.decrypt", &in, &out);
}

static enum hf_err
rewrap(const char *name, const char *ciphertext)
{
	struct hf_rewrap_in in = { .name = text_of(name),
		.item = {
		    .ciphertext = bytes_of(ciphertext, strlen(ciphertext)) } };
	struct hf_rewrap_out out;

	return call("transit.rewrap", &in, &out);
}

/* -- Time -- */

static uint64_t ahead; /* seconds, of the time that the service sees */

/* Instead of that of the C library. */
time_t
time(time_t *out)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += (time_t)ahead;
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}

static uint64_t
wall(void)
{
	return (uint64_t)time(NULL);
}

static int
real_time(void **state)
{
	(void)state;
	ahead = 0;
	return 0;
}

/* Until nothing is due any more at that time; how many steps it took. */
static unsigned
tend_until(uint64_t now, uint64_t *next)
{
	static struct upkeep walk;
	unsigned steps = 0;

	if (now > wall())
		ahead += now - wall();
	do {
		upkeep_step(server, &walk, now, next);
		steps++;
	} while (*next == now && steps < 500);
	return steps;
}

static uint64_t
tend(uint64_t now)
{
	uint64_t next;

	assert_true(tend_until(now, &next) < 500);
	return next;
}

static unsigned
audited(const char *what)
{
	size_t len;
	char *text = service_audit(&service, &len);
	unsigned n = 0;

	for (char *at = text; (at = strstr(at, what)) != NULL; at++)
		n++;
	free(text);
	return n;
}

static bool
any(void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	(void)key;
	(void)value;
	(void)revision;
	++*(unsigned *)ctx;
	return true;
}

static unsigned
marks(void)
{
	unsigned n = 0;

	assert_int_equal(store_list(server->store, TEXT("plan/"),
			     (struct hf_text){ 0 }, 0, any, &n),
	    HF_OK);
	return n;
}

static void
remove_key(const char *name)
{
	struct hf_name_in in = { text_of(name) };
	struct hf_empty out;

	assert_int_equal(call("key.delete", &in, &out), HF_OK);
}

/* -- Rotation by time -- */

static void
a_key_is_rotated_when_it_is_due(void **state)
{
	uint64_t made, next;

	(void)state;
	make("timed", "aes256-gcm96", HOUR);
	made = show("timed").creation_time;
	assert_int_equal(show("timed").next_due, made + HOUR);
	assert_int_equal(marks(), 1);
	assert_int_equal(tend(made + HOUR - 1), made + HOUR);
	assert_int_equal(show("timed").latest_version, 1);
	next = tend(made + HOUR);
	assert_int_equal(show("timed").latest_version, 2);
	assert_true(next >= made + HOUR);
	assert_int_equal(show("timed").next_due, next);
	assert_int_equal(marks(), 1);
	assert_int_equal(audited("\"type\":\"scheduled\",\"op\":\"key.rotate\","
				 "\"by\":\"service\",\"name\":\"timed\","
				 "\"version\":2,"
				 "\"reason\":\"auto_rotate_period\""),
	    1);
	assert_int_equal(audited("\"type\":\"scheduled_response\","
				 "\"op\":\"key.rotate\",\"by\":\"service\","
				 "\"name\":\"timed\""),
	    1);
	/* By hand it counts as well. */
	rotate("timed");
	assert_int_equal(marks(), 1);
	assert_int_equal(
	    config(&(struct hf_key_config_in){
		.name = TEXT("timed"), .auto_rotate_period = number(0) }),
	    HF_OK);
	assert_int_equal(marks(), 0);
	assert_int_equal(tend(made + 100 * HOUR), 0);
	assert_int_equal(show("timed").latest_version, 3);
}

static void
periods_are_checked_as_in_vault(void **state)
{
	struct hf_key_create_in in = { .name = TEXT("hasty"),
		.auto_rotate_period = HOUR - 1 };
	struct hf_key_info out;

	(void)state;
	assert_int_equal(call("key.create", &in, &out), HF_ERR_BAD_VALUE);
	assert_string_equal(why.text,
	    "auto rotate period must be 0 to disable or at least an hour");
	make("slow", "ed25519", 0);
	assert_int_equal(
	    config(&(struct hf_key_config_in){
		.name = TEXT("slow"), .auto_rotate_period = number(1) }),
	    HF_ERR_BAD_VALUE);
	assert_int_equal(
	    config(&(struct hf_key_config_in){
		.name = TEXT("slow"), .auto_rotate_period = number(HOUR) }),
	    HF_OK);
	remove_key("slow");
	assert_int_equal(marks(), 0);
}

enum { MANY = 40 };

static void
many_keys_take_turns(void **state)
{
	char name[16];
	uint64_t next;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "many%u", i);
		make(name, "aes256-gcm96", HOUR);
	}
	assert_true(tend_until(wall() + HOUR, &next) >= MANY);
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "many%u", i);
		assert_int_equal(show(name).latest_version, 2);
		remove_key(name);
	}
	assert_int_equal(marks(), 0);
}

/* Nothing about one key reaches the disk. */
static enum hf_err
refuse_stuck(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	(void)ctx;
	for (size_t i = 0; i < count; i++)
		if (when == STORE_MEMORY_BEFORE &&
		    text_is(writes[i].key, "key/stuck"))
			return HF_ERR_STORE;
	return HF_OK;
}

static void
one_that_fails_keeps_no_other(void **state)
{
	uint64_t now;

	(void)state;
	make("stuck", "aes256-gcm96", HOUR);
	make("free", "aes256-gcm96", HOUR);
	now = wall() + HOUR;
	store_memory_hook(service.memory, refuse_stuck, NULL);
	assert_int_equal(tend(now), now + 60);
	store_memory_hook(service.memory, NULL, NULL);
	assert_int_equal(show("free").latest_version, 2);
	assert_int_equal(show("stuck").latest_version, 1);
	(void)tend(now + 60);
	assert_int_equal(show("stuck").latest_version, 2);
	remove_key("stuck");
	remove_key("free");
}

/* As by another daemon, or a crash between two commits of long ago. */
static void
a_mark_of_nothing_goes(void **state)
{
	char stored[KEY_STORE_NAME];
	uint8_t one = 1;

	(void)state;
	plan_store_name(1000, TEXT("nobody"), stored);
	assert_int_equal(
	    store_commit(server->store, NULL, 0,
		&(struct store_write){ text_of(stored), bytes_of(&one, 1) }, 1,
		NULL),
	    HF_OK);
	assert_int_equal(tend(wall()), 0);
	assert_int_equal(marks(), 0);
}

/* -- Versions that retire -- */

static void
versions_too_far_behind_retire(void **state)
{
	(void)state;
	make("behind", "aes256-gcm96", 0);
	assert_int_equal(
	    config(&(struct hf_key_config_in){
		.name = TEXT("behind"), .auto_retire_behind = number(3) }),
	    HF_OK);
	for (unsigned i = 0; i < 5; i++)
		rotate("behind");
	(void)tend(wall());
	assert_int_equal(show("behind").latest_version, 6);
	assert_int_equal(show("behind").min_decryption_version, 3);
	assert_int_equal(audited("\"op\":\"key.config\",\"by\":\"service\","
				 "\"name\":\"behind\",\"version\":3,"
				 "\"reason\":\"auto_retire\""),
	    2);
	rotate("behind");
	(void)tend(wall());
	assert_int_equal(show("behind").min_decryption_version, 4);
	assert_int_equal(tend(wall() + 1000 * DAY), 0);
	remove_key("behind");
}

static void
versions_superseded_long_ago_retire(void **state)
{
	uint64_t now;

	(void)state;
	make("aged", "aes256-gcm96", 0);
	assert_int_equal(
	    config(&(struct hf_key_config_in){ .name = TEXT("aged"),
		.auto_retire_age = number(90 * DAY),
		.min_encryption_version = number(1) }),
	    HF_OK);
	rotate("aged");
	now = wall();
	assert_in_range(
	    show("aged").next_due, now + 90 * DAY - 5, now + 90 * DAY);
	(void)tend(now + 89 * DAY);
	assert_int_equal(show("aged").min_decryption_version, 1);
	assert_int_equal(tend(now + 90 * DAY), 0);
	assert_int_equal(show("aged").min_decryption_version, 2);
	/* Which cannot be above what may encrypt. */
	assert_int_equal(show("aged").min_encryption_version, 2);
	remove_key("aged");
}

static void
what_is_in_use_does_not_retire(void **state)
{
	char v1[256], v2[256];
	uint64_t now = wall();

	(void)state;
	make("needed", "aes256-gcm96", 0);
	assert_int_equal(encrypt("needed", number(0), v1), HF_OK);
	rotate("needed");
	assert_int_equal(encrypt("needed", number(0), v2), HF_OK);
	assert_int_equal(decrypt("needed", v2), HF_OK);
	assert_int_equal(rewrap("needed", v1), HF_OK);
	rotate("needed");
	assert_int_equal(
	    config(&(struct hf_key_config_in){
		.name = TEXT("needed"), .auto_retire_behind = number(1) }),
	    HF_OK);
	rotate("needed");
	/* 1 was encrypted anew, 2 was decrypted. */
	assert_in_range(tend(now + 10), now + DAY, now + DAY + 100);
	assert_int_equal(show("needed").min_decryption_version, 2);
	(void)tend(now + DAY + 200);
	assert_int_equal(show("needed").min_decryption_version, 2);
	/* Nobody needed it for a month. */
	(void)tend(now + 32 * DAY);
	assert_int_equal(show("needed").min_decryption_version, 3);
	remove_key("needed");
}

/* -- A limit -- */

static void
set_limit(const char *name, uint64_t limit)
{
	assert_int_equal(
	    config(&(struct hf_key_config_in){
		.name = text_of(name), .use_limit = number(limit) }),
	    HF_OK);
}

static void
a_key_at_its_limit_is_rotated(void **state)
{
	char sealed[256];

	(void)state;
	make("limited", "aes256-gcm96", 0);
	set_limit("limited", 10);
	for (unsigned i = 0; i < 25; i++)
		assert_int_equal(encrypt("limited", number(0), sealed), HF_OK);
	assert_int_equal(show("limited").latest_version, 3);
	assert_int_equal(show("limited").keys[0].made, 10);
	assert_int_equal(show("limited").keys[1].made, 10);
	assert_int_equal(show("limited").keys[2].made, 5);
	assert_int_equal(audited("\"name\":\"limited\",\"version\":2,"
				 "\"reason\":\"use_limit\""),
	    2);
	/* Of an old version on purpose there is no more. */
	assert_int_equal(
	    encrypt("limited", number(1), sealed), HF_ERR_KEY_EXHAUSTED);
	assert_int_equal(show("limited").latest_version, 3);
	remove_key("limited");
}

static void
an_alias_leads_to_the_rotated_key(void **state)
{
	struct hf_alias alias = { TEXT("also"), TEXT("aliased") }, set;
	char sealed[256];

	(void)state;
	make("aliased", "aes256-gcm96", 0);
	set_limit("aliased", 2);
	assert_int_equal(call("alias.set", &alias, &set), HF_OK);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(encrypt("also", number(0), sealed), HF_OK);
	assert_int_equal(show("also").latest_version, 3);
	assert_int_equal(decrypt("also", sealed), HF_OK);
	remove_key("aliased");
}

static void
a_batch_goes_over_the_limit(void **state)
{
	struct hf_encrypt_item items[15];
	struct hf_encrypt_in in = { .name = TEXT("batched"),
		.batch_input = items,
		.batch_input_count = 8 };
	struct hf_encrypt_out out;

	(void)state;
	make("batched", "aes256-gcm96", 0);
	set_limit("batched", 10);
	for (size_t i = 0; i < 15; i++)
		items[i] = (struct hf_encrypt_item){ .plaintext = bytes_of(
							 "secret", 6) };
	assert_int_equal(call("transit.encrypt", &in, &out), HF_OK);
	assert_int_equal(out.batch_results[7].key_version, 1);
	assert_int_equal(call("transit.encrypt", &in, &out), HF_OK);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(out.batch_results[i].key_version, 2);
	/* More than one version may make never fits. */
	in.batch_input_count = 15;
	assert_int_equal(
	    call("transit.encrypt", &in, &out), HF_ERR_KEY_EXHAUSTED);
	remove_key("batched");
}

static void
signatures_and_macs_count_and_checks_do_not(void **state)
{
	struct hf_hmac_in in = { .name = TEXT("maced"),
		.item = { .input = bytes_of("x", 1) },
		.format = TEXT("text") };
	struct hf_verify_in verify = { .name = TEXT("maced"),
		.item = { .input = bytes_of("x", 1) } };
	struct hf_verify_out verified;
	struct hf_hmac_out out;
	char mac[256];

	(void)state;
	make("maced", "hmac", 0);
	set_limit("maced", 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(call("transit.hmac", &in, &out), HF_OK);
	(void)snprintf(mac, sizeof(mac), "%.*s", (int)out.result.hmac.len,
	    (const char *)out.result.hmac.ptr);
	verify.item.hmac = bytes_of(mac, strlen(mac));
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(
		    call("transit.verify", &verify, &verified), HF_OK);
		assert_int_equal(verified.result.valid, HF_TRUE);
	}
	assert_int_equal(show("maced").latest_version, 1);
	assert_int_equal(call("transit.hmac", &in, &out), HF_OK);
	assert_int_equal(out.result.key_version, 2);
	remove_key("maced");
}

static void
the_destination_of_reencrypt_is_rotated(void **state)
{
	struct hf_reencrypt_in in = { .name = TEXT("from"),
		.destination = TEXT("to") };
	struct hf_reencrypt_out out;
	char sealed[256];

	(void)state;
	make("from", "aes256-gcm96", 0);
	make("to", "aes256-gcm96", 0);
	set_limit("to", 1);
	assert_int_equal(encrypt("from", number(0), sealed), HF_OK);
	in.item.ciphertext = bytes_of(sealed, strlen(sealed));
	assert_int_equal(call("transit.reencrypt", &in, &out), HF_OK);
	assert_int_equal(out.result.key_version, 1);
	assert_int_equal(call("transit.reencrypt", &in, &out), HF_OK);
	assert_int_equal(out.result.key_version, 2);
	assert_int_equal(show("from").latest_version, 1);
	remove_key("from");
	remove_key("to");
}

/* Fail closed: what cannot be rotated makes no more. */
static void
what_cannot_be_rotated_refuses(void **state)
{
	char sealed[256];

	(void)state;
	make("pinned", "aes256-gcm96", 0);
	rotate("pinned");
	assert_int_equal(
	    config(&(struct hf_key_config_in){ .name = TEXT("pinned"),
		.primary_version = number(1),
		.use_limit = number(3) }),
	    HF_OK);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(encrypt("pinned", number(0), sealed), HF_OK);
	assert_int_equal(
	    encrypt("pinned", number(0), sealed), HF_ERR_KEY_EXHAUSTED);
	assert_non_null(strstr(why.text, "as often as it may be"));
	assert_int_equal(show("pinned").latest_version, 2);
	assert_int_equal(decrypt("pinned", sealed), HF_OK);
	remove_key("pinned");
}

static void *
renew(void *arg)
{
	struct key *key = arg;
	struct hf_why w = { "" };

	assert_int_equal(upkeep_renew(server, key, &w), HF_OK);
	return NULL;
}

static void
who_comes_second_does_not_rotate_again(void **state)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	char sealed[256];
	struct key *key;

	(void)state;
	make("raced", "aes256-gcm96", 0);
	set_limit("raced", 1);
	assert_int_equal(encrypt("raced", number(0), sealed), HF_OK);
	assert_int_equal(
	    keys_get(server->keys, TEXT("raced"), true, &key), HF_OK);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, renew, key), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	key_unref(key);
	assert_int_equal(show("raced").latest_version, 2);
	remove_key("raced");
}

static void
limits_are_those_of_the_type_at_most(void **state)
{
	(void)state;
	make("capped", "aes256-gcm96", 0);
	assert_int_equal(show("capped").use_limit, UINT64_C(4000000000));
	assert_int_equal(
	    config(&(struct hf_key_config_in){ .name = TEXT("capped"),
		.use_limit = number(UINT64_C(1) << 32) }),
	    HF_ERR_BAD_VALUE);
	remove_key("capped");
	make("wide", "xchacha20-poly1305", 0);
	assert_int_equal(show("wide").use_limit, 0);
	set_limit("wide", UINT64_C(1) << 40);
	remove_key("wide");
}

/* -- Destruction of what is in use -- */

static enum hf_err
trim(const char *name, uint64_t min, struct hf_uint unused_for, bool force)
{
	struct hf_key_trim_in in = { .name = text_of(name),
		.min_available_version = min,
		.unused_for = unused_for,
		.force = force };
	struct hf_key_info out;

	return call("key.trim", &in, &out);
}

static void
minima(const char *name, uint64_t version)
{
	assert_int_equal(
	    config(&(struct hf_key_config_in){ .name = text_of(name),
		.min_decryption_version = number(version),
		.min_encryption_version = number(version) }),
	    HF_OK);
}

static void
trim_refuses_what_is_in_use(void **state)
{
	char v1[256], v2[256];

	(void)state;
	make("trimmed", "aes256-gcm96", 0);
	assert_int_equal(encrypt("trimmed", number(0), v1), HF_OK);
	rotate("trimmed");
	assert_int_equal(encrypt("trimmed", number(0), v2), HF_OK);
	assert_int_equal(decrypt("trimmed", v2), HF_OK);
	assert_int_equal(rewrap("trimmed", v1), HF_OK);
	rotate("trimmed");
	minima("trimmed", 3);
	/* All of 1 was moved; that 1 encrypted today does not matter. */
	assert_int_equal(trim("trimmed", 2, number(DAY), false), HF_OK);
	assert_int_equal(
	    trim("trimmed", 3, number(DAY), false), HF_ERR_VERSION_IN_USE);
	assert_non_null(
	    strstr(why.text, "version 2 of key trimmed is in use: last "));
	assert_non_null(strstr(why.text, "by 1 caller;"));
	assert_int_equal(trim("trimmed", 3, (struct hf_uint){ 0 }, false),
	    HF_ERR_VERSION_IN_USE);
	assert_int_equal(trim("trimmed", 3, number(0), false), HF_OK);
	assert_int_equal(show("trimmed").keys_count, 1);
	remove_key("trimmed");
}

/* To end the use of a version by hand can be undone, so it is not refused. */
static void
config_tells_what_is_in_use(void **state)
{
	struct hf_key_config_in in = { .name = TEXT("ended"),
		.min_decryption_version = number(2) };
	struct hf_key_info out;
	char v1[256];

	(void)state;
	make("ended", "aes256-gcm96", 0);
	assert_int_equal(encrypt("ended", number(0), v1), HF_OK);
	assert_int_equal(decrypt("ended", v1), HF_OK);
	rotate("ended");
	assert_int_equal(call("key.config", &in, &out), HF_OK);
	assert_int_equal(out.min_decryption_version, 2);
	assert_true(text_starts(
	    out.warning, TEXT("version 1 of key ended is in use: last ")));
	assert_int_equal(call("key.config", &in, &out), HF_OK);
	assert_null(out.warning.ptr);
	remove_key("ended");
}

static void
force_trims_all_the_same(void **state)
{
	char v1[256];

	(void)state;
	make("forced", "aes256-gcm96", 0);
	assert_int_equal(encrypt("forced", number(0), v1), HF_OK);
	rotate("forced");
	minima("forced", 2);
	assert_int_equal(
	    trim("forced", 2, number(DAY), false), HF_ERR_VERSION_IN_USE);
	assert_int_equal(trim("forced", 2, number(DAY), true), HF_OK);
	remove_key("forced");
}

static void
destruction_refuses_what_is_in_use(void **state)
{
	struct hf_version_destroy_in in = { .name = TEXT("doomed"),
		.version = 1 };
	struct hf_key_info out;
	char v1[256];

	(void)state;
	make("doomed", "aes256-gcm96", 0);
	assert_int_equal(encrypt("doomed", number(0), v1), HF_OK);
	rotate("doomed");
	assert_int_equal(
	    call("key.version_destroy", &in, &out), HF_ERR_VERSION_IN_USE);
	in.force = true;
	assert_int_equal(call("key.version_destroy", &in, &out), HF_OK);
	remove_key("doomed");
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, real_time)
	const struct CMUnitTest tests[] = {
		TEST(a_key_is_rotated_when_it_is_due),
		TEST(periods_are_checked_as_in_vault),
		TEST(many_keys_take_turns),
		TEST(one_that_fails_keeps_no_other),
		TEST(a_mark_of_nothing_goes),
		TEST(versions_too_far_behind_retire),
		TEST(versions_superseded_long_ago_retire),
		TEST(what_is_in_use_does_not_retire),
		TEST(a_key_at_its_limit_is_rotated),
		TEST(an_alias_leads_to_the_rotated_key),
		TEST(a_batch_goes_over_the_limit),
		TEST(signatures_and_macs_count_and_checks_do_not),
		TEST(the_destination_of_reencrypt_is_rotated),
		TEST(what_cannot_be_rotated_refuses),
		TEST(who_comes_second_does_not_rotate_again),
		TEST(limits_are_those_of_the_type_at_most),
		TEST(trim_refuses_what_is_in_use),
		TEST(config_tells_what_is_in_use),
		TEST(force_trims_all_the_same),
		TEST(destruction_refuses_what_is_in_use),
	};

	return cmocka_run_group_tests(tests, setup, service_teardown);
}
