/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_ENTRY_H
#define PKCS11_ENTRY_H

#include "error.h"
#include "module.h"
#include "session.h"

/*
 * For the files that hold the functions that hosts call: entry.c, and
 * entry_message.c with the messages of PKCS#11 3.0. Counting in and out,
 * finding the session, waiting for it and the debug log are these macros, the
 * only ones with control flow.
 */

/* Evaluates `call` with `module` in scope. */
#define WITH_MODULE(call)                                   \
	do {                                                \
		struct trace trace = trace_begin(__func__); \
		struct module *module;                      \
		CK_RV rv = module_enter(&module);           \
		if (rv == CKR_OK) {                         \
			rv = (call);                        \
			module_leave();                     \
		}                                           \
		return trace_end(&trace, rv, NULL);         \
	} while (0)

/* Evaluates `call` with `session` in scope, ours alone for the time; where the
 * slot asks for a login, WITH_LOGIN does not without one. */
#define WITH_SESSION(handle, call) CALL_SESSION(handle, false, call)
#define WITH_LOGIN(handle, call) CALL_SESSION(handle, true, call)

#define CALL_SESSION(handle, login, call)                                \
	do {                                                             \
		struct trace trace = trace_begin(__func__);              \
		struct hf_why why = { "" };                              \
		struct module *module;                                   \
		struct session *session;                                 \
		CK_RV rv = module_enter(&module);                        \
		if (rv != CKR_OK)                                        \
			return trace_end(&trace, rv, NULL);              \
		rv = session_enter(module, (handle), (login), &session); \
		if (rv == CKR_OK) {                                      \
			rv = (call);                                     \
			why = session->why;                              \
			session_leave(session);                          \
		}                                                        \
		module_leave();                                          \
		return trace_end(&trace, rv, &why);                      \
	} while (0)

/* For what this module does not do, whoever asks. */
#define REFUSE(answer)                                      \
	do {                                                \
		struct trace trace = trace_begin(__func__); \
		return trace_end(&trace, (answer), NULL);   \
	} while (0)

#endif
