/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that forwards to another one (P11_MODULE, else SoftHSM) and
 * makes it fail, or behave as other HSMs do. The file P11_FAULTS says how, and
 * is read in each call, so that faults come and go while a program runs. A
 * line is a fault of a function:
 *
 *	FUNCTION WHICH [after] WHAT
 *
 *	FUNCTION  C_Sign, or * for all
 *	WHICH     the number of the call, counted from when the file last
 *	          changed and over all processes; 2+ from there on, * each
 *	after     the call is done first, and what comes of it is lost
 *	WHAT      CKR_name or a number; delay N (ms, then done as usual); hang,
 *	          until the file changes, then done; crash; abort
 *
 * or a trait of the device:
 *
 *	sessions N [hidden]  no more than N; hidden: nobody is told the limit
 *	idle N               sessions that are not used for N ms are closed
 *	gcm-iv STYLE         who makes the nonce of AES-GCM: luna (16 bytes,
 *	                     appended), luna12 (12), nshield (only zeros taken,
 *	                     written back by C_EncryptInit), cloudhsm (written
 *	                     back by C_Encrypt, at most 16 KiB), same (always
 *	                     the same one)
 *	gcm-error WHAT       the answer to a wrong tag
 *	kwp HOW              0x210B: the number that PKCS#11 3.0 has for it;
 *	                     other: 0x210A is another padding; none
 *	without NUMBER       that mechanism is not there
 *	find-batch N         C_FindObjects gives at most N
 *	vanish LABEL         objects whose label starts so are gone; *: those
 *	                     of the token that have one
 *	slot N               the slot has another number; what was open under
 *	                     the old one is lost
 *	no-token             it is pulled out
 *	connection           a socket is held while the module is in use
 *
 * P11_LOG gets a line for each call: process, function, result.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "p11_real.h"

#define CKM_KWP 0x210bUL

static CK_FUNCTION_LIST list;     /* what we give out */
static CK_FUNCTION_LIST_PTR real; /* what we forward to */

/* -- The names of functions and of return values -- */

/* clang-format off */
#define FUNCTIONS(F) \
	F(Initialize) F(Finalize) F(GetSlotList) F(GetTokenInfo) \
	F(GetMechanismInfo) F(OpenSession) F(CloseSession) \
	F(CloseAllSessions) F(GetSessionInfo) F(Login) F(CreateObject) \
	F(DestroyObject) F(GetAttributeValue) F(FindObjectsInit) \
	F(FindObjects) F(FindObjectsFinal) F(EncryptInit) F(Encrypt) \
	F(DecryptInit) F(Decrypt) F(DigestInit) F(Digest) F(SignInit) F(Sign) \
	F(GenerateKey) F(GenerateKeyPair) F(WrapKey) F(UnwrapKey) \
	F(DeriveKey) F(GenerateRandom)

#define VALUES(V) \
	V(DATA_INVALID) V(DATA_LEN_RANGE) V(ENCRYPTED_DATA_INVALID) \
	V(ENCRYPTED_DATA_LEN_RANGE) V(SIGNATURE_INVALID) \
	V(SIGNATURE_LEN_RANGE) V(BUFFER_TOO_SMALL) V(MECHANISM_INVALID) \
	V(MECHANISM_PARAM_INVALID) V(KEY_TYPE_INCONSISTENT) \
	V(KEY_FUNCTION_NOT_PERMITTED) V(ATTRIBUTE_VALUE_INVALID) \
	V(TEMPLATE_INCONSISTENT) V(WRAPPED_KEY_INVALID) V(GENERAL_ERROR) \
	V(FUNCTION_FAILED) V(SESSION_HANDLE_INVALID) V(SESSION_CLOSED) \
	V(SESSION_COUNT) V(OPERATION_ACTIVE) V(OPERATION_NOT_INITIALIZED) \
	V(OBJECT_HANDLE_INVALID) V(KEY_HANDLE_INVALID) V(USER_NOT_LOGGED_IN) \
	V(USER_ALREADY_LOGGED_IN) V(PIN_INCORRECT) V(PIN_LOCKED) \
	V(DEVICE_ERROR) V(DEVICE_REMOVED) V(DEVICE_MEMORY) V(HOST_MEMORY) \
	V(TOKEN_NOT_PRESENT) V(TOKEN_NOT_RECOGNIZED) \
	V(CRYPTOKI_NOT_INITIALIZED) V(SLOT_ID_INVALID)
/* clang-format on */

enum function {
#define F(name) FN_##name,
	FUNCTIONS(F)
#undef F
	    FN_COUNT
};

static const char *const function_names[] = {
#define F(name) "C_" #name,
	FUNCTIONS(F)
#undef F
};

static const struct {
	const char *name;
	CK_RV rv;
} values[] = {
#define V(name) { "CKR_" #name, CKR_##name },
	VALUES(V)
#undef V
};

static CK_RV
value_of(const char *text)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strcmp(values[i].name, text) == 0)
			return values[i].rv;
	return strtoul(text, NULL, 0);
}

/* -- The file of faults -- */

enum { TEXT_MAX = 4096, WORDS_MAX = 6, WORD_MAX = 64 };

struct faults {
	char text[TEXT_MAX];
	uint64_t hash; /* of the text */
};

struct line {
	char word[WORDS_MAX][WORD_MAX];
	int words;
};

static void
faults_read(struct faults *f)
{
	const char *path = getenv("P11_FAULTS");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, f->text, sizeof(f->text) - 1);

	if (fd >= 0)
		(void)close(fd);
	f->text[n > 0 ? n : 0] = '\0';
	f->hash = 14695981039346656037U; /* FNV-1a */
	for (const char *p = f->text; *p != '\0'; p++)
		f->hash = (f->hash ^ (unsigned char)*p) * 1099511628211U;
}

/* The next line; NULL at the end. */
static const char *
line_next(const char *at, struct line *line)
{
	size_t len = strcspn(at, "\n");
	char copy[256];

	memset(line, 0, sizeof(*line));
	if (*at == '\0')
		return NULL;
	(void)snprintf(copy, sizeof(copy), "%.*s", (int)len, at);
	line->words = sscanf(copy, "%63s %63s %63s %63s %63s", line->word[0],
	    line->word[1], line->word[2], line->word[3], line->word[4]);
	return at + len + (at[len] == '\n');
}

/* A trait's words; false when the device does not have it. */
static bool
trait(const char *name, struct line *line)
{
	struct faults f;
	const char *at = f.text;

	faults_read(&f);
	while ((at = line_next(at, line)) != NULL)
		if (strcmp(line->word[0], name) == 0)
			return true;
	return false;
}

static bool
trait_is(const char *name, const char *value)
{
	struct line line;

	return trait(name, &line) && strcmp(line.word[1], value) == 0;
}

static unsigned long
trait_number(const char *name)
{
	struct line line;

	return trait(name, &line) ? strtoul(line.word[1], NULL, 0) : 0;
}

/* -- Counting, over all processes -- */

struct counts {
	uint64_t hash;
	uint32_t calls[FN_COUNT];
};

/* The number of this call. */
static uint32_t
count_call(const struct faults *f, enum function function)
{
	char path[4096];
	struct counts *c;
	uint32_t n = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "%s.calls", getenv("P11_FAULTS"));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	(void)flock(fd, LOCK_EX);
	if (ftruncate(fd, sizeof(*c)) == 0 &&
	    (c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0)) != MAP_FAILED) {
		if (c->hash != f->hash) {
			memset(c, 0, sizeof(*c));
			c->hash = f->hash;
		}
		n = ++c->calls[function];
		(void)munmap(c, sizeof(*c));
	}
	(void)close(fd);
	return n;
}

static void
trace(enum function function, const char *result, CK_RV rv)
{
	const char *path = getenv("P11_LOG");
	char text[128];
	int fd = path == NULL
	    ? -1
	    : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	int n;

	if (fd < 0)
		return;
	n = snprintf(text, sizeof(text), "%d %s %s 0x%lx\n", (int)getpid(),
	    function_names[function], result, rv);
	(void)!write(fd, text, (size_t)n);
	(void)close(fd);
}

/* -- Faults -- */

enum action { NOTHING, ANSWER, DELAY, HANG, CRASH, ABORT };

struct fault {
	enum action action;
	bool after;
	unsigned long value; /* to answer; milliseconds */
	uint64_t hash;       /* of the file that said so */
};

static bool
which_matches(const char *which, uint32_t n)
{
	char *end;
	unsigned long number = strtoul(which, &end, 10);

	if (strcmp(which, "*") == 0)
		return true;
	return *end == '+' ? n >= number : n == number;
}

static enum action
action_of(const char *word)
{
	static const struct {
		const char *word;
		enum action action;
	} actions[] = {
		{ "delay", DELAY },
		{ "hang", HANG },
		{ "crash", CRASH },
		{ "abort", ABORT },
	};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(actions[i].word, word) == 0)
			return actions[i].action;
	return ANSWER;
}

static bool
names_function(const struct line *line, enum function function)
{
	return strcmp(line->word[0], function_names[function]) == 0 ||
	    (strcmp(line->word[0], "*") == 0 && line->words > 2);
}

static struct fault
fault_find(enum function function)
{
	struct fault fault = { .action = NOTHING };
	struct faults f;
	const char *at = f.text;
	struct line line;
	uint32_t n = 0;

	faults_read(&f);
	while ((at = line_next(at, &line)) != NULL) {
		const char *what;

		if (!names_function(&line, function))
			continue;
		if (n == 0)
			n = count_call(&f, function);
		if (!which_matches(line.word[1], n))
			continue;
		fault.after = strcmp(line.word[2], "after") == 0;
		what = line.word[fault.after ? 3 : 2];
		fault.action = action_of(what);
		fault.value = fault.action == ANSWER
		    ? value_of(what)
		    : strtoul(line.word[fault.after ? 4 : 3], NULL, 0);
		fault.hash = f.hash;
		break;
	}
	return fault;
}

static void
sleep_ms(unsigned long ms)
{
	struct timespec t = { (time_t)(ms / 1000),
		(long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void
die(int signal_number)
{
	sigset_t one;

	/* A fault of the processor's could not be blocked either. */
	(void)sigemptyset(&one);
	(void)sigaddset(&one, signal_number);
	(void)signal(signal_number, SIG_DFL);
	(void)pthread_sigmask(SIG_UNBLOCK, &one, NULL);
	(void)raise(signal_number);
}

/* Does the fault; true: `rv` is the answer. */
static bool
fault_do(const struct fault *fault, enum function function, CK_RV *rv)
{
	static const char *const names[] = { "", "fault", "delay", "hang",
		"crash", "abort" };
	struct faults f;

	if (fault->action != NOTHING)
		trace(function, names[fault->action], fault->value);
	switch (fault->action) {
	case NOTHING:
		break;
	case ANSWER:
		*rv = fault->value;
		return true;
	case DELAY:
		sleep_ms(fault->value);
		break;
	case HANG:
		do {
			sleep_ms(20);
			faults_read(&f);
		} while (f.hash == fault->hash);
		break;
	case CRASH:
		die(SIGSEGV);
		break;
	case ABORT:
		die(SIGABRT);
		break;
	}
	return false;
}

/*
 * What every function goes through: faults that come before, the call, faults
 * that come after, the trace.
 */
#define CALL(name, call)                                                   \
	do {                                                               \
		struct fault fault_ = fault_find(FN_##name);               \
		CK_RV rv_;                                                 \
		if (fault_.after || !fault_do(&fault_, FN_##name, &rv_)) { \
			rv_ = (call);                                      \
			if (fault_.after)                                  \
				(void)fault_do(&fault_, FN_##name, &rv_);  \
		}                                                          \
		trace(FN_##name, "=", rv_);                                \
		return rv_;                                                \
	} while (0)

/* -- Sessions: their number, their age, the slot they were opened in -- */

enum { SESSIONS_MAX = 256, APPENDED_MAX = 16 };

struct session {
	CK_SESSION_HANDLE handle; /* 0: free */
	uint64_t used;            /* ms */
	unsigned long slot_shift;
	CK_BYTE iv[APPENDED_MAX]; /* of the operation, when it is ours */
	CK_BYTE *iv_back;         /* where it is to be written */
	size_t iv_append;
	size_t data_max;
};

static struct session sessions[SESSIONS_MAX];
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Lock is held. Handle 0 finds a free one. */
static struct session *
session_find(CK_SESSION_HANDLE handle)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (sessions[i].handle == handle)
			return &sessions[i];
	return NULL;
}

/* Closes what nobody used for too long. Lock is held. */
static void
sessions_expire(void)
{
	unsigned long idle = trait_number("idle");

	for (size_t i = 0; idle != 0 && i < SESSIONS_MAX; i++) {
		struct session *s = &sessions[i];

		if (s->handle == 0 || now_ms() - s->used < idle)
			continue;
		(void)real->C_CloseSession(s->handle);
		memset(s, 0, sizeof(*s));
	}
}

/* Before each use of a session. */
static CK_RV
session_use(CK_SESSION_HANDLE handle)
{
	unsigned long shift = trait_number("slot");
	struct line line;
	struct session *s;
	CK_RV rv = CKR_OK;

	if (trait("no-token", &line))
		return CKR_DEVICE_REMOVED;
	(void)pthread_mutex_lock(&sessions_lock);
	sessions_expire();
	s = handle == 0 ? NULL : session_find(handle);
	if (s != NULL && s->slot_shift != shift)
		rv = CKR_DEVICE_REMOVED;
	else if (s != NULL)
		s->used = now_ms();
	(void)pthread_mutex_unlock(&sessions_lock);
	return rv;
}

static void
sessions_forget(CK_SESSION_HANDLE handle, bool all)
{
	(void)pthread_mutex_lock(&sessions_lock);
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (all || sessions[i].handle == handle)
			memset(&sessions[i], 0, sizeof(sessions[i]));
	(void)pthread_mutex_unlock(&sessions_lock);
}

static CK_RV
session_open(CK_SLOT_ID slot, CK_FLAGS flags, CK_SESSION_HANDLE *out)
{
	unsigned long limit = trait_number("sessions"), open = 0;
	struct session *s;
	CK_RV rv;

	(void)pthread_mutex_lock(&sessions_lock);
	sessions_expire();
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		open += sessions[i].handle != 0;
	s = session_find(0);
	rv = (limit != 0 && open >= limit) || s == NULL
	    ? CKR_SESSION_COUNT
	    : real->C_OpenSession(slot, flags, NULL, NULL, out);
	if (rv == CKR_OK) {
		memset(s, 0, sizeof(*s));
		s->handle = *out;
		s->used = now_ms();
		s->slot_shift = trait_number("slot");
	}
	(void)pthread_mutex_unlock(&sessions_lock);
	return rv;
}

/* -- Objects that vanish -- */

static bool
vanished(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	char label[128] = "";
	CK_BBOOL token = CK_FALSE;
	CK_ATTRIBUTE a[] = { { CKA_LABEL, label, sizeof(label) - 1 },
		{ CKA_TOKEN, &token, sizeof(token) } };
	struct line line;

	if (!trait("vanish", &line) ||
	    real->C_GetAttributeValue(session, object, a, 2) != CKR_OK ||
	    a[0].ulValueLen == 0 || token != CK_TRUE)
		return false;
	return strcmp(line.word[1], "*") == 0 ||
	    strncmp(label, line.word[1], strlen(line.word[1])) == 0;
}

/* Before each use of a session and an object in it. */
static CK_RV
object_use(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_RV gone)
{
	CK_RV rv = session_use(session);

	if (rv == CKR_OK && vanished(session, object))
		return gone;
	return rv;
}

/* -- Mechanisms -- */

static bool
is_without(CK_MECHANISM_TYPE type)
{
	struct faults f;
	const char *at = f.text;
	struct line line;

	faults_read(&f);
	while ((at = line_next(at, &line)) != NULL)
		if (strcmp(line.word[0], "without") == 0 &&
		    strtoul(line.word[1], NULL, 0) == type)
			return true;
	return false;
}

/* What the device behind us calls it; an error when it is not offered. */
static CK_RV
mechanism_sort(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE *out)
{
	bool wraps = type == CKM_AES_KEY_WRAP_PAD || type == CKM_KWP;

	*out = type;
	if (is_without(type) || (wraps && trait_is("kwp", "none")))
		return CKR_MECHANISM_INVALID;
	if (!trait_is("kwp", "0x210B"))
		return CKR_OK;
	if (type == CKM_AES_KEY_WRAP_PAD)
		return CKR_MECHANISM_INVALID;
	if (type == CKM_KWP)
		*out = CKM_AES_KEY_WRAP_PAD;
	return CKR_OK;
}

/* Before an operation with a mechanism and a key in a session. */
static CK_RV
use_sort(CK_SESSION_HANDLE session, const CK_MECHANISM *from,
    CK_OBJECT_HANDLE key, CK_MECHANISM *to)
{
	CK_RV rv = session_use(session);

	*to = *from;
	if (rv == CKR_OK)
		rv = mechanism_sort(from->mechanism, &to->mechanism);
	if (rv == CKR_OK && key != CK_INVALID_HANDLE && vanished(session, key))
		rv = CKR_KEY_HANDLE_INVALID;
	return rv;
}

/* -- AES-GCM with nonces of the device's own -- */

struct gcm_style {
	const char *name;
	size_t size;       /* of the nonce */
	bool appended;     /* to the ciphertext */
	bool back_at_init; /* written back by C_EncryptInit, or C_Encrypt */
	bool back;
	bool zeros_only; /* no other nonce is taken */
	bool same;
	size_t data_max;
};

/* clang-format off */
static const struct gcm_style gcm_styles[] = {
	{ "luna",     .size = 16, .appended = true },
	{ "luna12",   .size = 12, .appended = true },
	{ "nshield",  .size = 12, .back_at_init = true, .zeros_only = true },
	{ "cloudhsm", .size = 12, .back = true, .data_max = 16384 },
	{ "same",     .size = 12, .same = true },
};
/* clang-format on */

static const struct gcm_style *
gcm_style(void)
{
	struct line line;

	if (!trait("gcm-iv", &line))
		return NULL;
	for (size_t i = 0; i < sizeof(gcm_styles) / sizeof(gcm_styles[0]); i++)
		if (strcmp(gcm_styles[i].name, line.word[1]) == 0)
			return &gcm_styles[i];
	return NULL;
}

static CK_RV
gcm_init(CK_SESSION_HANDLE session, const struct gcm_style *style,
    CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	static const CK_BYTE zeros[12];
	CK_GCM_PARAMS params;
	struct session *s;
	CK_RV rv = CKR_OK;

	memcpy(&params, mechanism->pParameter, sizeof(params));
	if (style->zeros_only &&
	    (params.ulIvLen != sizeof(zeros) ||
		memcmp(params.pIv, zeros, sizeof(zeros)) != 0))
		return CKR_MECHANISM_PARAM_INVALID;
	(void)pthread_mutex_lock(&sessions_lock);
	s = session_find(session);
	if (s == NULL)
		rv = CKR_SESSION_HANDLE_INVALID;
	else
		memset(s->iv, 0, sizeof(s->iv));
	if (rv == CKR_OK && !style->same)
		rv = real->C_GenerateRandom(session, s->iv, style->size);
	if (rv == CKR_OK) {
		CK_BYTE *back = params.pIv;

		s->iv_append = style->appended ? style->size : 0;
		s->iv_back = style->back ? back : NULL;
		s->data_max = style->data_max;
		params.pIv = s->iv;
		params.ulIvLen = style->size;
		params.ulIvBits = 8 * style->size;
		mechanism->pParameter = &params;
		rv = real->C_EncryptInit(session, mechanism, key);
		if (rv == CKR_OK && style->back_at_init)
			memcpy(back, s->iv, style->size);
	}
	(void)pthread_mutex_unlock(&sessions_lock);
	return rv;
}

/* -- The functions -- */

static int held = -1; /* as a vendor's library has one to its device */

static CK_RV
initialize(void *args)
{
	struct line line;

	if (held < 0 && trait("connection", &line))
		held = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CALL(Initialize, real->C_Initialize(args));
}

static CK_RV
finalize(void *reserved)
{
	sessions_forget(0, true);
	if (held >= 0)
		(void)close(held);
	held = -1;
	CALL(Finalize, real->C_Finalize(reserved));
}

static CK_RV
slots_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	struct line line;
	CK_RV rv;

	if (trait("no-token", &line)) {
		*count = 0;
		return CKR_OK;
	}
	rv = real->C_GetSlotList(present, slots, count);
	for (CK_ULONG i = 0; rv == CKR_OK && slots != NULL && i < *count; i++)
		slots[i] += trait_number("slot");
	return rv;
}

static CK_RV
get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	CALL(GetSlotList, slots_list(present, slots, count));
}

static CK_RV
token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	struct line line;
	CK_RV rv = real->C_GetTokenInfo(slot - trait_number("slot"), info);

	if (rv == CKR_OK && trait("sessions", &line) &&
	    strcmp(line.word[2], "hidden") != 0)
		info->ulMaxSessionCount = info->ulMaxRwSessionCount =
		    strtoul(line.word[1], NULL, 0);
	return rv;
}

static CK_RV
get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CALL(GetTokenInfo, token_info(slot, info));
}

static CK_RV
mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	CK_RV rv = mechanism_sort(type, &type);

	return rv == CKR_OK
	    ? real->C_GetMechanismInfo(slot - trait_number("slot"), type, info)
	    : rv;
}

static CK_RV
get_mechanism_info(
    CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	CALL(GetMechanismInfo, mechanism_info(slot, type, info));
}

static CK_RV
open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application,
    CK_NOTIFY notify, CK_SESSION_HANDLE *out)
{
	(void)application;
	(void)notify;
	CALL(
	    OpenSession, session_open(slot - trait_number("slot"), flags, out));
}

static CK_RV
close_session(CK_SESSION_HANDLE session)
{
	sessions_forget(session, false);
	CALL(CloseSession, real->C_CloseSession(session));
}

static CK_RV
close_all_sessions(CK_SLOT_ID slot)
{
	sessions_forget(0, true);
	CALL(CloseAllSessions,
	    real->C_CloseAllSessions(slot - trait_number("slot")));
}

/* USE is what must be well before the call is made. */
#define GUARDED(use, call) ((guard = (use)) != CKR_OK ? guard : (call))

static CK_RV
get_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
	CK_RV guard;

	CALL(GetSessionInfo,
	    GUARDED(
		session_use(session), real->C_GetSessionInfo(session, info)));
}

static CK_RV
login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG len)
{
	CK_RV guard;

	CALL(Login,
	    GUARDED(
		session_use(session), real->C_Login(session, user, pin, len)));
}

static CK_RV
create_object(CK_SESSION_HANDLE session, CK_ATTRIBUTE *a, CK_ULONG n,
    CK_OBJECT_HANDLE *out)
{
	CK_RV guard;

	CALL(CreateObject,
	    GUARDED(session_use(session),
		real->C_CreateObject(session, a, n, out)));
}

static CK_RV
destroy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	CK_RV guard;

	CALL(DestroyObject,
	    GUARDED(object_use(session, object, CKR_OBJECT_HANDLE_INVALID),
		real->C_DestroyObject(session, object)));
}

static CK_RV
get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE *a, CK_ULONG n)
{
	CK_RV guard;

	CALL(GetAttributeValue,
	    GUARDED(object_use(session, object, CKR_OBJECT_HANDLE_INVALID),
		real->C_GetAttributeValue(session, object, a, n)));
}

static CK_RV
find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *a, CK_ULONG n)
{
	CK_RV guard;

	CALL(FindObjectsInit,
	    GUARDED(
		session_use(session), real->C_FindObjectsInit(session, a, n)));
}

/* Without those that vanished, some at a time. */
static CK_RV
objects_find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out, CK_ULONG max,
    CK_ULONG *count)
{
	unsigned long batch = trait_number("find-batch");
	CK_ULONG kept;
	CK_RV rv;

	if (batch != 0 && max > batch)
		max = batch;
	do {
		rv = real->C_FindObjects(session, out, max, count);
		kept = 0;
		for (CK_ULONG i = 0; rv == CKR_OK && i < *count; i++)
			if (!vanished(session, out[i]))
				out[kept++] = out[i];
	} while (rv == CKR_OK && *count > 0 && kept == 0);
	*count = kept;
	return rv;
}

static CK_RV
find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out, CK_ULONG max,
    CK_ULONG *count)
{
	CK_RV guard;

	CALL(FindObjects,
	    GUARDED(
		session_use(session), objects_find(session, out, max, count)));
}

static CK_RV
find_objects_final(CK_SESSION_HANDLE session)
{
	CK_RV guard;

	CALL(FindObjectsFinal,
	    GUARDED(session_use(session), real->C_FindObjectsFinal(session)));
}

static CK_RV
encrypt_begin(
    CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	const struct gcm_style *style = gcm_style();
	CK_MECHANISM m;
	CK_RV rv = use_sort(session, mechanism, key, &m);

	if (rv != CKR_OK)
		return rv;
	if (style != NULL && m.mechanism == CKM_AES_GCM)
		return gcm_init(session, style, &m, key);
	return real->C_EncryptInit(session, &m, key);
}

static CK_RV
encrypt_init(
    CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	CALL(EncryptInit, encrypt_begin(session, mechanism, key));
}

static CK_RV
encrypt_end(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len,
    CK_BYTE *out, CK_ULONG *len)
{
	CK_RV rv = session_use(session);
	struct session copy = { 0 }, *s;
	CK_ULONG room = *len;

	(void)pthread_mutex_lock(&sessions_lock);
	if ((s = session_find(session)) != NULL) {
		copy = *s;
		s->iv_append = s->data_max = 0;
		s->iv_back = NULL;
	}
	(void)pthread_mutex_unlock(&sessions_lock);
	if (rv != CKR_OK)
		return rv;
	if (copy.data_max != 0 && in_len > copy.data_max)
		return CKR_DATA_LEN_RANGE;
	if (copy.iv_append > room)
		return CKR_BUFFER_TOO_SMALL;
	*len -= copy.iv_append;
	rv = real->C_Encrypt(session, in, in_len, out, len);
	if (rv != CKR_OK)
		return rv;
	if (copy.iv_append > 0) {
		memcpy(out + *len, copy.iv, copy.iv_append);
		*len += copy.iv_append;
	}
	if (copy.iv_back != NULL)
		memcpy(copy.iv_back, copy.iv, 12);
	return CKR_OK;
}

static CK_RV
encrypt(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
    CK_ULONG *len)
{
	CALL(Encrypt, encrypt_end(session, in, in_len, out, len));
}

static CK_RV
decrypt_init(
    CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m;
	CK_RV guard;

	CALL(DecryptInit,
	    GUARDED(use_sort(session, mechanism, key, &m),
		real->C_DecryptInit(session, &m, key)));
}

static CK_RV
decrypt_end(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len,
    CK_BYTE *out, CK_ULONG *len)
{
	struct line line;
	CK_RV rv = session_use(session);

	if (rv != CKR_OK)
		return rv;
	rv = real->C_Decrypt(session, in, in_len, out, len);
	if (rv == CKR_GENERAL_ERROR && trait("gcm-error", &line))
		return value_of(line.word[1]);
	return rv;
}

static CK_RV
decrypt(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
    CK_ULONG *len)
{
	CALL(Decrypt, decrypt_end(session, in, in_len, out, len));
}

static CK_RV
digest_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism)
{
	CK_MECHANISM m;
	CK_RV guard;

	CALL(DigestInit,
	    GUARDED(use_sort(session, mechanism, CK_INVALID_HANDLE, &m),
		real->C_DigestInit(session, &m)));
}

static CK_RV
digest(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
    CK_ULONG *len)
{
	CK_RV guard;

	CALL(Digest,
	    GUARDED(session_use(session),
		real->C_Digest(session, in, in_len, out, len)));
}

static CK_RV
sign_init(
    CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m;
	CK_RV guard;

	CALL(SignInit,
	    GUARDED(use_sort(session, mechanism, key, &m),
		real->C_SignInit(session, &m, key)));
}

static CK_RV
sign(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
    CK_ULONG *len)
{
	CK_RV guard;

	CALL(Sign,
	    GUARDED(session_use(session),
		real->C_Sign(session, in, in_len, out, len)));
}

static CK_RV
generate_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
    CK_ATTRIBUTE *a, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM m;
	CK_RV guard;

	CALL(GenerateKey,
	    GUARDED(use_sort(session, mechanism, CK_INVALID_HANDLE, &m),
		real->C_GenerateKey(session, &m, a, n, out)));
}

static CK_RV
generate_key_pair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
    CK_ATTRIBUTE *a, CK_ULONG n, CK_ATTRIBUTE *b, CK_ULONG k,
    CK_OBJECT_HANDLE *public, CK_OBJECT_HANDLE *private)
{
	CK_MECHANISM m;
	CK_RV guard;

	CALL(GenerateKeyPair,
	    GUARDED(use_sort(session, mechanism, CK_INVALID_HANDLE, &m),
		real->C_GenerateKeyPair(
		    session, &m, a, n, b, k, public, private)));
}

static CK_RV
wrap_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE wrap, CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
	CK_MECHANISM m;
	CK_RV guard;

	CALL(WrapKey,
	    GUARDED(use_sort(session, mechanism, wrap, &m),
		real->C_WrapKey(session, &m, wrap, key, out, len)));
}

static CK_RV
key_unwrap(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE wrap, CK_BYTE *in, CK_ULONG len, CK_ATTRIBUTE *a,
    CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM m;
	CK_RV rv = use_sort(session, mechanism, wrap, &m);

	if (rv != CKR_OK)
		return rv;
	if (m.mechanism == CKM_AES_KEY_WRAP_PAD && trait_is("kwp", "other"))
		return CKR_WRAPPED_KEY_INVALID;
	return real->C_UnwrapKey(session, &m, wrap, in, len, a, n, out);
}

static CK_RV
unwrap_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE wrap, CK_BYTE *in, CK_ULONG len, CK_ATTRIBUTE *a,
    CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CALL(UnwrapKey,
	    key_unwrap(session, mechanism, wrap, in, len, a, n, out));
}

static CK_RV
derive_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE key, CK_ATTRIBUTE *a, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM m;
	CK_RV guard;

	CALL(DeriveKey,
	    GUARDED(use_sort(session, mechanism, key, &m),
		real->C_DeriveKey(session, &m, key, a, n, out)));
}

static CK_RV
generate_random(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG len)
{
	CK_RV guard;

	CALL(GenerateRandom,
	    GUARDED(session_use(session),
		real->C_GenerateRandom(session, out, len)));
}

/* -- The module -- */

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out)
{
	CK_RV rv =
	    real != NULL ? CKR_OK : p11_real(getenv("P11_MODULE"), &real);

	if (rv != CKR_OK)
		return rv;
	list = *real;
	list.C_Initialize = initialize;
	list.C_Finalize = finalize;
	list.C_GetFunctionList = C_GetFunctionList;
	list.C_GetSlotList = get_slot_list;
	list.C_GetTokenInfo = get_token_info;
	list.C_GetMechanismInfo = get_mechanism_info;
	list.C_OpenSession = open_session;
	list.C_CloseSession = close_session;
	list.C_CloseAllSessions = close_all_sessions;
	list.C_GetSessionInfo = get_session_info;
	list.C_Login = login;
	list.C_CreateObject = create_object;
	list.C_DestroyObject = destroy_object;
	list.C_GetAttributeValue = get_attribute_value;
	list.C_FindObjectsInit = find_objects_init;
	list.C_FindObjects = find_objects;
	list.C_FindObjectsFinal = find_objects_final;
	list.C_EncryptInit = encrypt_init;
	list.C_Encrypt = encrypt;
	list.C_DecryptInit = decrypt_init;
	list.C_Decrypt = decrypt;
	list.C_DigestInit = digest_init;
	list.C_Digest = digest;
	list.C_SignInit = sign_init;
	list.C_Sign = sign;
	list.C_GenerateKey = generate_key;
	list.C_GenerateKeyPair = generate_key_pair;
	list.C_WrapKey = wrap_key;
	list.C_UnwrapKey = unwrap_key;
	list.C_DeriveKey = derive_key;
	list.C_GenerateRandom = generate_random;
	*out = &list;
	return CKR_OK;
}
