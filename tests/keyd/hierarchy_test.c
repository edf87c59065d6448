/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hierarchy.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"
#include "../fake/store_memory.h"

/*
 * The promises of hierarchy.h on a real SoftHSM. A process that dies at some
 * step is one whose commit did not happen (or happened unheard): what follows
 * is a new hierarchy over the same store.
 */

static struct softhsm soft;
static struct hsm *hsm;
static struct hf_why why;

struct fixture {
	struct store_memory *memory;
	struct store *store;
	struct hierarchy *h;
};

static int
group_setup(void **state)
{
	struct hsm_settings settings = { .deadline_ms = 5000 };

	(void)state;
	if (crypto_init(&why) != HF_OK || !softhsm_start(&soft))
		return -1;
	settings.uri = soft.uri;
	settings.pin_source = soft.pin_source;
	if (hsm_open(&settings, NULL, NULL, &hsm, &why) != HF_OK)
		return -1;
	return hsm_wait_ready(hsm, 5000) == HF_OK ? 0 : -1;
}

static int
group_teardown(void **state)
{
	(void)state;
	hsm_close(hsm);
	softhsm_stop(&soft);
	return 0;
}

static void
start(struct fixture *f)
{
	assert_int_equal(store_memory_open(f->memory, &f->store), HF_OK);
	assert_int_equal(hierarchy_open(f->store, hsm, &f->h, &why), HF_OK);
}

static void
end(struct fixture *f)
{
	hierarchy_close(f->h);
	store_close(f->store);
}

static void
restart(struct fixture *f)
{
	end(f);
	start(f);
}

static void
master_id(struct fixture *f, uint8_t id[HSM_ID])
{
	struct store_value v = { 0 };
	const uint8_t *at;

	/* CBOR of hsm/root: "master_id" and a byte string of 16. */
	assert_int_equal(store_get(f->store, TEXT("hsm/root"), &v), HF_OK);
	at = memmem(v.ptr, v.len, "master_id\x50", 10);
	assert_non_null(at);
	memcpy(id, at + 10, HSM_ID);
	store_value_free(&v);
}

/* The token grows slow when they stay. */
static void
forget_objects(struct fixture *f)
{
	uint8_t id[HSM_ID];

	if (!hierarchy_initialized(f->h))
		return;
	hierarchy_wrap_id(f->h, id);
	(void)hsm_object_destroy(hsm, ROLE_WRAP, id);
	hierarchy_audit_id(f->h, id);
	(void)hsm_object_destroy(hsm, ROLE_AUDIT, id);
	master_id(f, id);
	(void)hsm_object_destroy(hsm, ROLE_MASTER, id);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->memory = store_memory_new();
	start(f);
	*state = f;
	return 0;
}

static int
setup_made(void **state)
{
	struct fixture *f;

	(void)setup(state);
	f = *state;
	return hierarchy_init(f->h, &why) == HF_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	forget_objects(f);
	end(f);
	store_memory_free(f->memory);
	free(f);
	return 0;
}

/* -- Sealing -- */

enum { SAMPLE = 40 };

static void
seal(struct fixture *f, const char *ring, const char *identity,
    uint8_t out[SAMPLE + SEAL_EXTRA])
{
	uint8_t in[SAMPLE];

	memset(in, 's', sizeof(in));
	assert_int_equal(hierarchy_seal(f->h, text_of(ring), text_of(identity),
			     bytes_of(in, SAMPLE), out),
	    HF_OK);
}

static enum hf_err
unseal(
    struct fixture *f, const char *identity, const uint8_t *sealed, size_t len)
{
	AUTO_SECRET out = { 0 };
	uint8_t expect[SAMPLE];
	enum hf_err err = hierarchy_unseal(
	    f->h, text_of(identity), bytes_of(sealed, len), &out);

	memset(expect, 's', sizeof(expect));
	if (err == HF_OK)
		assert_true(
		    bytes_equal(secret_view(&out), bytes_of(expect, SAMPLE)));
	else
		assert_null(out.ptr);
	return err;
}

static void
opens_what_it_sealed_under_that_identity_only(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA], again[SAMPLE + SEAL_EXTRA];

	seal(f, "default", "key/a", sealed);
	seal(f, "default", "key/a", again);
	assert_memory_not_equal(sealed, again, sizeof(sealed));
	assert_int_equal(unseal(f, "key/a", sealed, sizeof(sealed)), HF_OK);
	assert_int_equal(
	    unseal(f, "key/b", sealed, sizeof(sealed)), HF_ERR_STORE_DAMAGED);
	assert_int_equal(
	    unseal(f, "", sealed, sizeof(sealed)), HF_ERR_STORE_DAMAGED);
	restart(f);
	assert_int_equal(unseal(f, "key/a", sealed, sizeof(sealed)), HF_OK);
}

static void
notices_each_byte_that_was_changed(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA];

	seal(f, "default", "key/a", sealed);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		assert_int_equal(unseal(f, "key/a", sealed, sizeof(sealed)),
		    HF_ERR_STORE_DAMAGED);
		sealed[i] ^= 1;
	}
	for (size_t len = 0; len < sizeof(sealed); len++)
		assert_int_equal(
		    unseal(f, "key/a", sealed, len), HF_ERR_STORE_DAMAGED);
	assert_int_equal(unseal(f, "key/a", sealed, sizeof(sealed)), HF_OK);
}

/* -- Initialisation -- */

static void
initialises_once(void **state)
{
	struct fixture *f = *state;
	uint8_t wrap[HSM_ID], again[HSM_ID];

	assert_false(hierarchy_initialized(f->h));
	assert_int_equal(
	    hierarchy_unlock(f->h, &why), HF_ERR_HSM_UNINITIALIZED);
	assert_int_equal(hierarchy_init(f->h, &why), HF_OK);
	hierarchy_wrap_id(f->h, wrap);
	assert_int_equal(hierarchy_init(f->h, &why), HF_OK);
	hierarchy_wrap_id(f->h, again);
	assert_memory_equal(wrap, again, HSM_ID);
	assert_int_equal(hierarchy_master_version(f->h), 1);
}

static void
initialisation_goes_on_wherever_it_was_cut_short(void **state)
{
	(void)state;
	for (unsigned at = 1; at <= 4; at++)
		for (int when = STORE_MEMORY_BEFORE; when <= STORE_MEMORY_AFTER;
		     when++) {
			struct store_death d = { at,
				(enum store_memory_when)when, 0, false };
			uint8_t sealed[SAMPLE + SEAL_EXTRA];
			struct fixture f = { store_memory_new(), NULL, NULL };

			start(&f);
			store_memory_hook(f.memory, store_death, &d);
			(void)hierarchy_init(f.h, &why);
			assert_int_equal(d.happened, at <= 3);
			store_memory_hook(f.memory, NULL, NULL);
			restart(&f);
			/* What is left may be done by a start alone. */
			if (hierarchy_initialized(f.h))
				assert_int_equal(
				    hierarchy_unlock(f.h, &why), HF_OK);
			else
				assert_int_equal(
				    hierarchy_init(f.h, &why), HF_OK);
			seal(&f, "default", "x", sealed);
			assert_int_equal(
			    unseal(&f, "x", sealed, sizeof(sealed)), HF_OK);
			forget_objects(&f);
			end(&f);
			store_memory_free(f.memory);
		}
}

/* -- Keyrings -- */

static void
keyrings_do_not_open_each_others_values(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA], other[SAMPLE + SEAL_EXTRA];
	struct keyring_info info, list[4];
	size_t count = 4;

	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
	assert_int_equal(
	    keyring_create(f->h, TEXT("alpha"), &info), HF_ERR_NAME_TAKEN);
	assert_int_equal(
	    keyring_create(f->h, TEXT("no/name"), &info), HF_ERR_BAD_NAME);
	seal(f, "alpha", "x", sealed);
	seal(f, "default", "x", other);
	memcpy(other + 2, sealed + 2, HSM_ID); /* the id of the keyring */
	assert_int_equal(
	    unseal(f, "x", other, sizeof(other)), HF_ERR_STORE_DAMAGED);
	assert_true(keyring_sealed(
	    f->h, TEXT("alpha"), bytes_of(sealed, sizeof(sealed))));
	assert_false(keyring_sealed(
	    f->h, TEXT("default"), bytes_of(sealed, sizeof(sealed))));
	assert_false(keyring_sealed(f->h, TEXT("alpha"), bytes_of(sealed, 10)));
	assert_int_equal(
	    keyring_list(f->h, (struct hf_text){ 0 }, list, &count), HF_OK);
	assert_int_equal(count, 2);
	assert_string_equal(list[0].name, "alpha");
	assert_string_equal(list[1].name, "default");
	count = 4;
	assert_int_equal(
	    keyring_list(f->h, TEXT("alpha"), list, &count), HF_OK);
	assert_int_equal(count, 1);
}

static void
what_a_destroyed_keyring_sealed_stays_closed(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA], out[SAMPLE + SEAL_EXTRA];
	struct store_value v = { 0 };
	struct keyring_info info;

	assert_int_equal(keyring_create(f->h, TEXT("gone"), &info), HF_OK);
	seal(f, "gone", "x", sealed);
	assert_int_equal(keyring_destroy(f->h, TEXT("gone")), HF_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(unseal(f, "x", sealed, sizeof(sealed)),
		    HF_ERR_KEYRING_NOT_FOUND);
		assert_int_equal(hierarchy_seal(f->h, TEXT("gone"), TEXT("x"),
				     bytes_of("y", 1), out),
		    HF_ERR_KEYRING_NOT_FOUND);
		assert_int_equal(keyring_destroy(f->h, TEXT("gone")),
		    HF_ERR_KEYRING_NOT_FOUND);
		assert_int_equal(keyring_create(f->h, TEXT("gone"), &info),
		    HF_ERR_NAME_TAKEN);
		assert_int_equal(
		    keyring_info(f->h, TEXT("gone"), &info), HF_OK);
		assert_true(info.destroyed);
		restart(f);
		assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	}
	assert_int_equal(store_get(f->store, TEXT("keyring/gone"), &v), HF_OK);
	assert_true(v.len < 120); /* the sealed key is not in there */
	store_value_free(&v);
}

/* A commit that is made, and of which the store says that it failed. */
static void
fails_unheard(struct fixture *f, struct store_death *d)
{
	*d = (struct store_death){ 1, STORE_MEMORY_AFTER, 0, false };
	store_memory_hook(f->memory, store_death, d);
}

static void
a_keyring_is_known_though_its_commit_failed(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA];
	struct keyring_info info;
	struct store_death d;

	fails_unheard(f, &d);
	assert_int_equal(
	    keyring_create(f->h, TEXT("alpha"), &info), HF_ERR_STORE);
	store_memory_hook(f->memory, NULL, NULL);
	assert_int_equal(
	    keyring_create(f->h, TEXT("alpha"), &info), HF_ERR_NAME_TAKEN);
	assert_int_equal(keyring_info(f->h, TEXT("alpha"), &info), HF_OK);
	seal(f, "alpha", "x", sealed);
	restart(f);
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	assert_int_equal(unseal(f, "x", sealed, sizeof(sealed)), HF_OK);
	fails_unheard(f, &d);
	assert_int_equal(keyring_destroy(f->h, TEXT("alpha")), HF_ERR_STORE);
	store_memory_hook(f->memory, NULL, NULL);
	assert_int_equal(
	    unseal(f, "x", sealed, sizeof(sealed)), HF_ERR_KEYRING_NOT_FOUND);
	assert_int_equal(
	    keyring_destroy(f->h, TEXT("alpha")), HF_ERR_KEYRING_NOT_FOUND);
}

/* And one that was not made leaves everything as it was. */
static void
a_keyring_is_unknown_when_its_commit_was_not_made(void **state)
{
	struct fixture *f = *state;
	struct store_death d = { 1, STORE_MEMORY_BEFORE, 0, false };
	uint8_t sealed[SAMPLE + SEAL_EXTRA];
	struct keyring_info info;

	store_memory_hook(f->memory, store_death, &d);
	assert_int_equal(
	    keyring_create(f->h, TEXT("alpha"), &info), HF_ERR_STORE);
	store_memory_hook(f->memory, NULL, NULL);
	assert_int_equal(
	    keyring_info(f->h, TEXT("alpha"), &info), HF_ERR_KEYRING_NOT_FOUND);
	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
	seal(f, "alpha", "x", sealed);
	d = (struct store_death){ 1, STORE_MEMORY_BEFORE, 0, false };
	store_memory_hook(f->memory, store_death, &d);
	assert_int_equal(keyring_destroy(f->h, TEXT("alpha")), HF_ERR_STORE);
	store_memory_hook(f->memory, NULL, NULL);
	assert_int_equal(unseal(f, "x", sealed, sizeof(sealed)), HF_OK);
	assert_int_equal(keyring_destroy(f->h, TEXT("alpha")), HF_OK);
}

static void
one_damaged_keyring_does_not_keep_others_closed(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA];
	struct store_value v = { 0 };
	struct keyring_info info;

	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
	assert_int_equal(keyring_create(f->h, TEXT("zeta"), &info), HF_OK);
	seal(f, "zeta", "x", sealed);
	assert_int_equal(store_get(f->store, TEXT("keyring/alpha"), &v), HF_OK);
	v.ptr[v.len - 1] ^= 1;
	assert_int_equal(store_commit(f->store, NULL, 0,
			     &(struct store_write){ TEXT("keyring/alpha"),
				 bytes_of(v.ptr, v.len) },
			     1, NULL),
	    HF_OK);
	store_value_free(&v);
	restart(f);
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_ERR_STORE_DAMAGED);
	assert_non_null(strstr(why.text, "alpha"));
	assert_int_equal(unseal(f, "x", sealed, sizeof(sealed)), HF_OK);
}

/* -- Rotation of the master key -- */

static void
rotation_moves_every_keyring_to_a_new_master(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA];
	struct keyring_info info;
	uint64_t version = 0, count = 0;

	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
	seal(f, "alpha", "x", sealed);
	assert_int_equal(
	    hierarchy_rotate_master(f->h, false, &version, &count, &why),
	    HF_OK);
	assert_int_equal(version, 2);
	assert_int_equal(count, 2);
	assert_int_equal(hierarchy_rotation_pending(f->h), 0);
	assert_int_equal(keyring_info(f->h, TEXT("alpha"), &info), HF_OK);
	assert_int_equal(info.master_version, 2);
	assert_int_equal(unseal(f, "x", sealed, sizeof(sealed)), HF_OK);
	restart(f);
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	assert_int_equal(hierarchy_master_version(f->h), 2);
	assert_int_equal(unseal(f, "x", sealed, sizeof(sealed)), HF_OK);
}

/* One death at each commit, before and after, resumed in one of two ways. */
static void
survive(
    unsigned at, enum store_memory_when when, bool destroy_old, bool by_unlock)
{
	struct store_death d = { at, when, 0, false };
	struct fixture f = { store_memory_new(), NULL, NULL };
	uint8_t sealed[SAMPLE + SEAL_EXTRA], other[SAMPLE + SEAL_EXTRA];
	uint8_t old[HSM_ID];
	struct keyring_info info;
	uint64_t version = 0, count = 0;
	bool found = false, begun;

	start(&f);
	assert_int_equal(hierarchy_init(f.h, &why), HF_OK);
	assert_int_equal(keyring_create(f.h, TEXT("alpha"), &info), HF_OK);
	assert_int_equal(keyring_create(f.h, TEXT("gone"), &info), HF_OK);
	assert_int_equal(keyring_destroy(f.h, TEXT("gone")), HF_OK);
	seal(&f, "default", "x", sealed);
	seal(&f, "alpha", "y", other);
	master_id(&f, old);
	store_memory_hook(f.memory, store_death, &d);
	(void)hierarchy_rotate_master(f.h, destroy_old, &version, &count, &why);
	store_memory_hook(f.memory, NULL, NULL);
	restart(&f);
	/* Before it goes on, everything opens. */
	assert_int_equal(unseal(&f, "x", sealed, sizeof(sealed)), HF_OK);
	assert_int_equal(unseal(&f, "y", other, sizeof(other)), HF_OK);
	begun = at > 1 || when == STORE_MEMORY_AFTER;
	if (by_unlock) {
		assert_int_equal(hierarchy_unlock(f.h, &why), HF_OK);
		assert_int_equal(hierarchy_master_version(f.h), begun ? 2 : 1);
	} else {
		assert_int_equal(hierarchy_rotate_master(
				     f.h, destroy_old, &version, &count, &why),
		    HF_OK);
		assert_true(version == 2 || version == 3);
	}
	assert_int_equal(hierarchy_rotation_pending(f.h), 0);
	restart(&f);
	assert_int_equal(hierarchy_unlock(f.h, &why), HF_OK);
	assert_int_equal(unseal(&f, "x", sealed, sizeof(sealed)), HF_OK);
	assert_int_equal(unseal(&f, "y", other, sizeof(other)), HF_OK);
	assert_int_equal(hsm_object_find(hsm, ROLE_MASTER, old, &found), HF_OK);
	if (!by_unlock || begun)
		assert_int_equal(found, !destroy_old);
	(void)hsm_object_destroy(hsm, ROLE_MASTER, old);
	forget_objects(&f);
	end(&f);
	store_memory_free(f.memory);
}

static void
rotation_goes_on_wherever_it_was_cut_short(void **state)
{
	(void)state;
	/* making, rewrapping, two keyrings, the new root, retired */
	for (unsigned at = 1; at <= 6; at++)
		for (unsigned way = 0; way < 4; way++)
			survive(at,
			    (way & 1) != 0 ? STORE_MEMORY_AFTER
					   : STORE_MEMORY_BEFORE,
			    at >= 5 || ((at + way / 2) & 1) != 0,
			    (way & 2) != 0);
}

/* The same without a restart: a conflict would stay for as long. */
static void
a_rotation_goes_on_after_each_commit_that_failed(void **state)
{
	struct fixture *f = *state;
	struct keyring_info info;

	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
	for (unsigned at = 1; at <= 6; at++)
		for (int when = STORE_MEMORY_BEFORE; when <= STORE_MEMORY_AFTER;
		     when++) {
			struct store_death d = { at,
				(enum store_memory_when)when, 0, false };
			uint8_t sealed[SAMPLE + SEAL_EXTRA];
			uint64_t version, count;

			seal(f, "alpha", "x", sealed);
			store_memory_hook(f->memory, store_death, &d);
			(void)hierarchy_rotate_master(
			    f->h, true, &version, &count, &why);
			store_memory_hook(f->memory, NULL, NULL);
			assert_true(d.happened);
			assert_int_equal(hierarchy_rotate_master(f->h, true,
					     &version, &count, &why),
			    HF_OK);
			assert_int_equal(hierarchy_rotation_pending(f->h), 0);
			assert_int_equal(
			    unseal(f, "x", sealed, sizeof(sealed)), HF_OK);
		}
}

static void
tells_how_much_of_a_rotation_is_left(void **state)
{
	struct fixture *f = *state;
	struct store_death d = { 4, STORE_MEMORY_BEFORE, 0, false };
	struct keyring_info info;
	uint64_t version, count;

	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
	assert_int_equal(keyring_create(f->h, TEXT("beta"), &info), HF_OK);
	assert_int_equal(hierarchy_rotation_pending(f->h), 0);
	store_memory_hook(f->memory, store_death, &d);
	assert_int_equal(
	    hierarchy_rotate_master(f->h, false, &version, &count, &why),
	    HF_ERR_STORE);
	store_memory_hook(f->memory, NULL, NULL);
	assert_int_equal(hierarchy_rotation_pending(f->h), 2);
	restart(f);
	assert_int_equal(hierarchy_rotation_pending(f->h), 2);
	/* Made meanwhile, under the master in force: it moves along. */
	assert_int_equal(keyring_create(f->h, TEXT("gamma"), &info), HF_OK);
	assert_int_equal(hierarchy_rotation_pending(f->h), 3);
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	assert_int_equal(hierarchy_rotation_pending(f->h), 0);
}

static void
who_asks_for_the_old_master_to_go_gets_that(void **state)
{
	struct fixture *f = *state;
	struct store_death d = { 3, STORE_MEMORY_BEFORE, 0, false };
	uint64_t version, count;
	uint8_t old[HSM_ID];
	bool found = true;

	master_id(f, old);
	store_memory_hook(f->memory, store_death, &d);
	assert_int_equal(
	    hierarchy_rotate_master(f->h, false, &version, &count, &why),
	    HF_ERR_STORE);
	store_memory_hook(f->memory, NULL, NULL);
	assert_int_equal(
	    hierarchy_rotate_master(f->h, true, &version, &count, &why), HF_OK);
	assert_int_equal(version, 2);
	assert_int_equal(hsm_object_find(hsm, ROLE_MASTER, old, &found), HF_OK);
	assert_false(found);
}

/* -- An HSM that does not do what it should -- */

static _Thread_local bool for_keyring;

static CK_RV
note_what_for(
    CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	const CK_GCM_PARAMS *gcm = m->pParameter;

	for_keyring = m->mechanism == CKM_AES_GCM && gcm->ulAADLen > 16 &&
	    memcmp(gcm->pAAD, "holdfast-keyring", 16) == 0;
	return softhsm_original()->C_EncryptInit(session, m, key);
}

/* Only keyring keys come out wrong: known answers do not show it. */
static CK_RV
encrypt_garbles(CK_SESSION_HANDLE session, CK_BYTE_PTR in, CK_ULONG len,
    CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	CK_RV rv =
	    softhsm_original()->C_Encrypt(session, in, len, out, out_len);

	if (rv == CKR_OK && out != NULL && *out_len > 0 && for_keyring)
		out[0] ^= 1;
	return rv;
}

static void
writes_nothing_down_that_the_hsm_does_not_open_again(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SAMPLE + SEAL_EXTRA];
	struct keyring_info info;
	uint64_t version, count;

	seal(f, "default", "x", sealed);
	softhsm_functions()->C_EncryptInit = note_what_for;
	softhsm_functions()->C_Encrypt = encrypt_garbles;
	assert_int_not_equal(
	    keyring_create(f->h, TEXT("garbled"), &info), HF_OK);
	assert_int_not_equal(
	    hierarchy_rotate_master(f->h, true, &version, &count, &why), HF_OK);
	softhsm_functions_restore();
	restart(f);
	assert_int_equal(keyring_info(f->h, TEXT("garbled"), &info),
	    HF_ERR_KEYRING_NOT_FOUND);
	assert_int_equal(hierarchy_unlock(f->h, &why), HF_OK);
	assert_int_equal(unseal(f, "x", sealed, sizeof(sealed)), HF_OK);
}

/* -- Many at once -- */

struct crowd {
	struct fixture *f;
	_Atomic bool stop;
	_Atomic unsigned failed, done;
};

static void *
seal_and_open(void *arg)
{
	struct crowd *c = arg;
	uint8_t in[SAMPLE], out[SAMPLE + SEAL_EXTRA];

	memset(in, 's', sizeof(in));
	while (!atomic_load(&c->stop)) {
		AUTO_SECRET open = { 0 };

		if (hierarchy_seal(c->f->h, TEXT("alpha"), TEXT("id"),
			bytes_of(in, SAMPLE), out) != HF_OK ||
		    hierarchy_unseal(c->f->h, TEXT("id"),
			bytes_of(out, sizeof(out)), &open) != HF_OK ||
		    open.len != SAMPLE)
			atomic_fetch_add(&c->failed, 1);
		atomic_fetch_add(&c->done, 1);
	}
	return NULL;
}

static void
others_seal_and_open_during_rotations(void **state)
{
	struct fixture *f = *state;
	struct crowd c = { .f = f };
	struct keyring_info info;
	pthread_t threads[3];
	uint64_t version = 0, count;

	assert_int_equal(keyring_create(f->h, TEXT("alpha"), &info), HF_OK);
	restart(f); /* so that the first to come opens it */
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, seal_and_open, &c), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    hierarchy_rotate_master(f->h, true, &version, &count, &why),
		    HF_OK);
	assert_int_equal(keyring_create(f->h, TEXT("beta"), &info), HF_OK);
	assert_int_equal(keyring_destroy(f->h, TEXT("beta")), HF_OK);
	while (atomic_load(&c.done) < 10)
		;
	atomic_store(&c.stop, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.failed, 0);
	assert_int_equal(version, 4);
}

static void *
use_the_doomed(void *arg)
{
	struct crowd *c = arg;
	uint8_t out[1 + SEAL_EXTRA];

	while (!atomic_load(&c->stop)) {
		enum hf_err err = hierarchy_seal(
		    c->f->h, TEXT("doomed"), TEXT("id"), bytes_of("x", 1), out);

		atomic_fetch_add(&c->done, 1);
		if (err == HF_ERR_KEYRING_NOT_FOUND)
			return NULL;
		if (err != HF_OK)
			atomic_fetch_add(&c->failed, 1);
	}
	return NULL;
}

static void
a_keyring_in_use_may_be_destroyed(void **state)
{
	struct fixture *f = *state;
	struct crowd c = { .f = f };
	struct keyring_info info;
	pthread_t threads[2];

	assert_int_equal(keyring_create(f->h, TEXT("doomed"), &info), HF_OK);
	restart(f);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, use_the_doomed, &c), 0);
	while (atomic_load(&c.done) == 0)
		;
	assert_int_equal(keyring_destroy(f->h, TEXT("doomed")), HF_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.failed, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    opens_what_it_sealed_under_that_identity_only, setup_made,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    notices_each_byte_that_was_changed, setup_made, teardown),
		cmocka_unit_test_setup_teardown(
		    initialises_once, setup, teardown),
		cmocka_unit_test(
		    initialisation_goes_on_wherever_it_was_cut_short),
		cmocka_unit_test_setup_teardown(
		    keyrings_do_not_open_each_others_values, setup_made,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    what_a_destroyed_keyring_sealed_stays_closed, setup_made,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_keyring_is_known_though_its_commit_failed, setup_made,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_keyring_is_unknown_when_its_commit_was_not_made,
		    setup_made, teardown),
		cmocka_unit_test_setup_teardown(
		    one_damaged_keyring_does_not_keep_others_closed, setup_made,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    rotation_moves_every_keyring_to_a_new_master, setup_made,
		    teardown),
		cmocka_unit_test(rotation_goes_on_wherever_it_was_cut_short),
		cmocka_unit_test_setup_teardown(
		    a_rotation_goes_on_after_each_commit_that_failed,
		    setup_made, teardown),
		cmocka_unit_test_setup_teardown(
		    tells_how_much_of_a_rotation_is_left, setup_made, teardown),
		cmocka_unit_test_setup_teardown(
		    who_asks_for_the_old_master_to_go_gets_that, setup_made,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    writes_nothing_down_that_the_hsm_does_not_open_again,
		    setup_made, teardown),
		cmocka_unit_test_setup_teardown(
		    others_seal_and_open_during_rotations, setup_made,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_keyring_in_use_may_be_destroyed, setup_made, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
