/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_INTERNAL_H
#define KEYD_HSM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include "hsm.h"
#include "hsm_alg.h"

/*
 * What the files of the HSM's door share; nobody else includes this.
 *
 *	hsm.c          open, close, state
 *	hsm_pin.c      where the PIN comes from
 *	hsm_module.c   modules that several tokens are reached through
 *	hsm_token.c    module, slot, login
 *	hsm_held.c     whether the module holds a connection to something
 *	hsm_recover.c  the one thread that connects, and connects again
 *	hsm_known.c    known-answer tests
 *	hsm_session.c  the pool, and hsm_run: a use of the HSM with its errors
 *	hsm_error.c    the table of those
 *	hsm_handle.c   handles of objects, kept for a generation
 *	hsm_gcm.c      AES-GCM as this HSM wants it
 *	hsm_object.c   the three roles, sealing, audit signatures
 *	hsm_bring.c    keys of those roles that were made outside
 *	hsm_key.c      keys at level hsm: made, wrapped, checked, dropped
 *	hsm_use.c      what such keys do: signatures, HMAC, AEAD, RSA
 *	hsm_aes.c      other modes of AES, key wrap, CMAC
 *	hsm_derive.c   ECDH, HKDF
 *	hsm_can.c      which of the latter this HSM can
 *	hsm_alg.c      key types and templates in the words of PKCS#11
 *	hsm_probe.c    the matrix for people (hsm_try.c: its rows at work)
 *
 * and of those that move all of that into another process:
 *
 *	hsm_remote.c   an operation of hsm.h, as a job
 *	hsm_job.c      a job on its way, and what it calls over there
 *	hsm_process.c  the process: started, waited for, killed, replaced
 *	hsm_worker.c   the other side
 *
 * Locks: hsm->lock guards state and pool, handles.lock the handles; neither is
 * held across a call into the module, and the second is never taken inside the
 * first or the other way round. Fields marked "by recovery" are written only
 * while no call is in flight, and so need no lock to be read by one.
 */

struct hsm_job;
struct hsm_ring;
struct ring_server;

/* -- hsm_error.c -- */

enum hsm_class {
	CLASS_OK,
	CLASS_DATA,      /* the caller's fault, or never possible here */
	CLASS_AMBIGUOUS, /* bad data or a sick token */
	CLASS_SESSION,
	CLASS_HANDLE,
	CLASS_LOGIN,
	CLASS_PIN,
	CLASS_DEVICE,
};

struct ckr_row {
	CK_RV rv;
	const char *name;
	enum hsm_class class;
	enum hf_err err;
};

/* Never NULL: a code that is not in the table has a row too. */
const struct ckr_row *ckr_row(CK_RV rv);

/* -- hsm_handle.c -- */

enum {
	HANDLES_MAX = 256,
	HANDLE_KEY = 100, /* kind of a key's handle; roles are their number */
};

struct handle {
	uint8_t id[HSM_ID];
	unsigned kind;
	CK_OBJECT_HANDLE object;
	bool transient; /* a session object: destroyed when forgotten */
	bool doomed;    /* goes when its last user does */
	unsigned users;
	uint64_t used; /* tick of the last use; 0: the entry is free */
};

struct handles {
	pthread_mutex_t lock;
	uint64_t tick;
	struct handle entry[HANDLES_MAX];
};

/* -- The whole -- */

enum {
	SESSIONS_MAX = 64,
	WAITERS_PER_SESSION = 64,
	QUIRKS_MAX = 12,
	SEEN_MAX = 32,
	NEWS_MAX = 4, /* changes of state that the watcher was not told yet */
	GCM_NONCE = 12,
	GCM_TAG = 16,
	KNOWN_TEXT = 32,
};

/* How this HSM treats the nonce of AES-GCM; found by known answers. */
enum nonce_mode {
	NONCE_CALLER,   /* ours is used */
	NONCE_WRITTEN,  /* zeros in, its own comes back in pIv (nShield) */
	NONCE_APPENDED, /* its own follows the tag (Luna) */
};

struct hsm_session {
	CK_SESSION_HANDLE handle;
	bool open;
	bool taken;
	uint64_t
	    barred; /* clock_ms() until when the token has no room for it */
};

/* An object of ours that was in the token, or ought to be. */
struct role_seen {
	enum hsm_role role;
	uint8_t id[HSM_ID];
	bool missing;
};

struct hsm_traits {
	enum nonce_mode nonce;
	CK_MECHANISM_TYPE wrap; /* RFC 5649 under this number; 0: none */
	char quirks[QUIRKS_MAX][HSM_QUIRK];
	size_t quirk_count;
};

enum oaep_mode { OAEP_UNKNOWN, OAEP_WORKS, OAEP_RAW };

struct hsm {
	/* Fixed after hsm_open. */
	P11KitUri *uri;
	CK_FUNCTION_LIST_PTR fn;
	struct secret pin;
	struct hsm_process *process; /* not NULL: it is all in there */
	struct hsm_ring *ring;       /* inside; NULL: none */
	struct ring_server *server;  /* of that ring */
	unsigned want_sessions;
	unsigned deadline_ms, keepalive_ms;
	bool cautious;
	hsm_effort_fn *effort;
	hsm_watch_fn *watch;
	void *watch_ctx;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* state, closing, last call out of a loss */
	pthread_cond_t freed;   /* a session, the anchor, or the state */
	enum hsm_state state;
	struct hsm_info info; /* by recovery, but for state, reason, since */
	bool closing;
	bool ended;                     /* the thread needs nothing any more */
	bool login_lost;                /* all that is known to be wrong */
	struct hsm_info news[NEWS_MAX]; /* for the watcher, oldest first */
	size_t news_count;
	uint64_t lost_at; /* clock_ms() */
	uint64_t ready_at;
	unsigned relapses; /* losses, each soon after a connection */
	struct role_seen seen[SEEN_MAX];
	unsigned seen_count;
	bool look_again; /* something is missing that was not before */
	_Atomic uint64_t attempt_at; /* clock_ms() since when the recovery's
					thread is in the module; 0: is not */
	unsigned in_flight, waiters;
	bool anchor_taken;
	struct hsm_session sessions[SESSIONS_MAX];
	unsigned session_count; /* by recovery */

	/* By recovery. */
	bool initialized;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE anchor; /* never closed: it keeps us logged in, and
				     owns the session objects */
	struct hsm_traits traits;
	bool connected; /* the module was seen to hold a connection */
	unsigned asked; /* enum hsm_can: what was answered */
	CK_OBJECT_HANDLE known_key;
	uint8_t known_nonce[GCM_NONCE];
	uint8_t known_sealed[KNOWN_TEXT + GCM_TAG];

	struct handles handles;
	pthread_mutex_t make_lock; /* one maker of role objects at a time */
	_Atomic int oaep;          /* enum oaep_mode */
	_Atomic unsigned can;      /* enum hsm_can */
};

/* -- hsm.c -- */

/* Whether this thread is to hand over what it wants of the HSM. */
bool hsm_is_remote(const struct hsm *hsm);

/* A job for the threads beside this one, between hsm_await_begin() and
 * hsm_await_end(). */
enum hf_err hsm_inside_do(struct hsm *hsm, struct hsm_job *job);

/* Milliseconds of CLOCK_MONOTONIC; a timespec of that clock. */
uint64_t clock_ms(void);
struct timespec clock_at(uint64_t ms);

/* What a call gets in that state; whether calls go through; whether that is so
 * until a restart. */
enum hf_err state_error(enum hsm_state state);
bool state_serves(enum hsm_state state);
bool state_final(enum hsm_state state);

/* For how long the recovery's thread has been in the module; 0: it is not. */
unsigned hsm_busy_ms(struct hsm *hsm);

/* -- hsm_held.c -- */

/*
 * How many descriptors of this process lead elsewhere than to files. What a
 * module adds is its connection; in a process of its own that is certain, else
 * one that another thread opened meanwhile is taken for it.
 */
#define HELD_UNKNOWN SIZE_MAX
size_t held_count(void);
/* Notes whether there are more than before; they count for good. */
void held_compare(struct hsm *hsm, size_t before);

/* -- hsm_session.c -- */

enum { CALL_PINS = 4 };

/* One use of the HSM. */
struct hsm_call {
	struct hsm *hsm;
	CK_FUNCTION_LIST_PTR fn;
	CK_SESSION_HANDLE session;
	struct hsm_session *slot; /* NULL: the recovery's, on the anchor */
	uint64_t deadline;        /* clock_ms() */
	uint64_t generation;
	CK_RV rv; /* of the last call_check() that failed, with its class */
	enum hsm_class class;
	bool authentic; /* it may be the answer to data that is not genuine */
	bool active;    /* an operation was begun and did not end */
	struct handle *pins[CALL_PINS];
	size_t pin_count;
};

typedef enum hf_err hsm_work_fn(struct hsm_call *call, void *arg);

enum run_kind {
	RUN_SAFE, /* may be done again when its outcome is unknown */
	RUN_ONCE, /* not so */
	RUN_NOW,  /* never again, and without waiting */
};

/*
 * Takes a session, does the work in it, sorts the error and deals with it:
 * once more on a fresh session, with fresh handles, or after a recovery; or
 * the verdict of a known answer. The work may run several times.
 */
enum hf_err hsm_run(
    struct hsm *hsm, enum run_kind kind, hsm_work_fn *work, void *arg);

/* Notes the outcome of a call into the module, and gives our error for it. */
enum hf_err call_check(struct hsm_call *call, CK_RV rv);

/* The same where an ambiguous error may mean data that is not genuine. */
enum hf_err call_check_genuine(struct hsm_call *call, CK_RV rv);

/* The same for a call on the anchor: a broken anchor is a lost HSM. */
enum hf_err call_check_anchor(struct hsm_call *call, CK_RV rv);

/* The error was expected and has been dealt with. */
void call_forgive(struct hsm_call *call);

/* Init and single part of C_Encrypt, C_Decrypt or C_Sign. */
enum crypt { CRYPT_ENCRYPT, CRYPT_DECRYPT, CRYPT_SIGN };
enum hf_err call_crypt(struct hsm_call *call, enum crypt what,
    CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, struct hf_bytes in,
    uint8_t *out, size_t *len);

/* Closes the session and opens a new one: nothing is left active in it. */
enum hf_err call_renew(struct hsm_call *call);

/* The anchor for oneself, for what must outlive the call. */
enum hf_err call_anchor_take(struct hsm_call *call);
void call_anchor_give(struct hsm_call *call);

/*
 * When the calls of this thread are to have waited enough, if that is before
 * the deadline of the settings: a worker serves requests of another process,
 * whose time has been running.
 */
void hsm_deadline_set(uint64_t at_ms);

/* -- hsm_recover.c -- */

/* Milliseconds to the next try, with jitter. */
uint64_t backoff(unsigned failures);

/* Something is wrong with the connection of that generation. */
void hsm_lose(struct hsm *hsm, uint64_t generation, CK_RV rv);
void *recover_main(void *hsm);

/* A role object was found; it was not, though it was seen before or `sealed`
 * (something exists that only it opens); it shall not be there any more. */
void role_seen(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID]);
void role_missed(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool sealed);
void role_gone(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID]);

/* -- hsm_module.c -- */

/* One user more of that module, or one less; what C_Initialize or C_Finalize
 * answered where one was needed. */
CK_RV module_enter(CK_FUNCTION_LIST_PTR fn);
CK_RV module_leave(CK_FUNCTION_LIST_PTR fn);

/* -- hsm_token.c -- */

enum hf_err token_uri(struct hsm *hsm, const char *uri, struct hf_why *why);
enum hf_err token_load(struct hsm *hsm, struct hf_why *why);
/*
 * Everything up to being logged in with an anchor session. HSM_PIN and
 * HSM_UNSUITABLE are final, other errors are not. login_only: what there is
 * may still be good.
 */
enum hf_err token_connect(struct hsm *hsm, bool login_only, struct hf_why *why);
void token_disconnect(struct hsm *hsm);
void token_unload(struct hsm *hsm);

/* -- hsm_pin.c -- */

enum hf_err pin_read(
    const char *source, struct secret *pin, struct hf_why *why);

/* -- hsm_known.c -- */

/* All known answers, on the anchor; fills the traits. Errors as above. */
enum hf_err known_answers(struct hsm *hsm, struct hf_why *why);

/* Whether the token still gives the known answer, in this session. */
bool known_healthy(struct hsm_call *call);

/* Notes what is odd about this HSM, for the log and the probe; of more than
 * QUIRKS_MAX the rest is lost. */
void quirk_add(struct hsm *hsm, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* -- hsm_gcm.c -- */

/*
 * in.len + 16 bytes into `out`. The nonce is taken from `nonce`, or put there
 * when the HSM makes it.
 */
enum hf_err gcm_encrypt(struct hsm_call *call, enum nonce_mode mode,
    CK_OBJECT_HANDLE key, uint8_t nonce[GCM_NONCE], struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out);
/* Writes in.len - 16 bytes, and only when they are authentic. */
enum hf_err gcm_decrypt(struct hsm_call *call, CK_OBJECT_HANDLE key,
    const uint8_t nonce[GCM_NONCE], struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out);
/* What the HSM does of itself: nonce as it leaves it, *len as it says. */
enum hf_err gcm_try(struct hsm_call *call, CK_OBJECT_HANDLE key,
    uint8_t nonce[GCM_NONCE], struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out, size_t *len);

/* -- hsm_handle.c: a handle stays good until the call ends -- */

void handles_clear(struct handles *handles);
enum hf_err handle_of_role(struct hsm_call *call, enum hsm_role role,
    const uint8_t id[HSM_ID], CK_OBJECT_HANDLE *out);
enum hf_err handle_of_key(
    struct hsm_call *call, const struct hsm_key *key, CK_OBJECT_HANDLE *out);
/* Any master key's handle that is known; false when none is. */
bool handle_any_master(struct hsm_call *call, CK_OBJECT_HANDLE *out);
void handle_forget(
    struct hsm_call *call, unsigned kind, const uint8_t id[HSM_ID]);
/* Destroys the session objects that nobody uses; some HSMs have few. */
void handles_shed(struct hsm_call *call);
/* Ends the use of this call's handles; `doom`: they were refused. */
void handles_release(struct hsm_call *call, bool doom);

/* -- hsm_object.c -- */

/* Like hsm_object_find, without waiting. */
enum hf_err role_look(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool *found);

/* Objects of that class and id; at most `max`. */
enum hf_err object_search(struct hsm_call *call, CK_OBJECT_CLASS class,
    const uint8_t id[HSM_ID], CK_OBJECT_HANDLE *found, size_t max,
    size_t *count);
/* Exactly one, of the kind that it should be, sensitive and not extractable;
 * HF_ERR_NOT_FOUND when there is none. */
enum hf_err object_find_key(struct hsm_call *call, CK_OBJECT_CLASS class,
    CK_KEY_TYPE type, const uint8_t id[HSM_ID], CK_OBJECT_HANDLE *out);
/* Forgets nothing, destroys all of that class and id. */
enum hf_err object_destroy_all(
    struct hsm_call *call, CK_OBJECT_CLASS class, const uint8_t id[HSM_ID]);
/* Without a word about how it went: it may be gone already, and whatever is
 * wrong shows elsewhere. CK_INVALID_HANDLE is fine. */
void object_drop(struct hsm_call *call, CK_OBJECT_HANDLE object);
/* An attribute of at most *len bytes. */
enum hf_err object_attribute(struct hsm_call *call, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_TYPE type, uint8_t *out, size_t *len);
/* SubjectPublicKeyInfo of a public key, or of a private RSA key. */
enum hf_err object_spki(struct hsm_call *call, CK_OBJECT_HANDLE object,
    const struct key_type *type, uint8_t *out, size_t *len);

/* -- hsm_aes.c, hsm_derive.c, hsm_can.c -- */

/* ECB, CBC or CTR of in.len bytes: whole blocks but for CTR. */
enum hf_err aes_blocks(struct hsm_call *call, CK_OBJECT_HANDLE key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out);
enum hf_err aes_cmac(struct hsm_call *call, CK_OBJECT_HANDLE key,
    struct hf_bytes in, uint8_t out[16]);
/* Bare point of the key's curve; `out` is allocated, of a coordinate's size. */
enum hf_err ecdh_derive(struct hsm_call *call, CK_OBJECT_HANDLE key,
    struct hf_bytes point, const struct secret *out);

/* Tries what was not answered yet, and notes it. */
void can_find(struct hsm_call *call);
/* enum key_use of keys of that type here. */
unsigned key_uses(struct hsm *hsm, const struct hsm_alg *alg);

/* -- hsm_key.c, hsm_use.c -- */

/* A session object of that session; the wrapping key's handle is given. */
CK_RV key_unwrap(struct hsm_call *call, CK_SESSION_HANDLE session,
    const struct key_type *type, CK_OBJECT_HANDLE wrap, struct hf_bytes wrapped,
    CK_OBJECT_HANDLE *out);

/* Makes a key of that type and throws it away; whether it could be wrapped
 * and works when it is unwrapped. */
enum hf_err key_wrap_test(struct hsm_call *call, const struct key_type *type,
    CK_OBJECT_HANDLE wrap, bool *wrappable);

/* A signature, prepared outside of any session: mechanism and input. */
struct signing {
	CK_MECHANISM mechanism;
	CK_RSA_PKCS_PSS_PARAMS pss;
	struct hf_bytes in;
	uint8_t buffer[512]; /* a block of RSA at most */
};
enum hf_err signing_prepare(struct signing *s, const struct key_type *type,
    const struct sign_how *how, struct hf_bytes in);
/* Signs, and encodes as `how` says. */
enum hf_err signing_do(struct signing *s, struct hsm_call *call,
    const struct key_type *type, const struct sign_how *how,
    CK_OBJECT_HANDLE key, uint8_t *out, size_t *len);

/* OAEP with SHA-256 by the HSM itself. */
enum hf_err oaep_decrypt(struct hsm_call *call, CK_OBJECT_HANDLE key,
    struct hf_bytes in, uint8_t *out, size_t *len);
/* Whether that gives the right answer, for a private RSA key. */
enum hf_err oaep_test(struct hsm_call *call, const struct key_type *type,
    CK_OBJECT_HANDLE key, struct hf_bytes spki, bool *works);

#endif
