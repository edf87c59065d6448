/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SOFTHSM_H
#define TESTS_SOFTHSM_H

#include <stdbool.h>

#include <p11-kit/pkcs11.h>

#include "../../keyd/hsm.h"

/*
 * A SoftHSM token of one's own: in a folder under /tmp, with a configuration
 * that SOFTHSM2_CONF points at (set in this process). Nobody else may open it
 * while the daemon's side does: SoftHSM rewrites it at each login.
 */
struct softhsm {
	char dir[64];         /* removed at the end */
	char tokens[96];      /* where SoftHSM keeps them */
	char pin_file[96];    /* SOFTHSM_PIN and a newline */
	char pin_source[112]; /* "file:..." */
	char uri[160];
};

/* The URI of a token by its label. */
#define SOFTHSM_URI(label) \
	"pkcs11:token=" label "?module-path=/usr/lib/softhsm/libsofthsm2.so"

#define SOFTHSM_LABEL "holdfast-test"
#define SOFTHSM_PIN "1234"

/* False when it could not be made; stderr says why. */
bool softhsm_start(struct softhsm *s);
void softhsm_stop(struct softhsm *s);

/* One more token in the same folder, with the same PIN; before the module is
 * first used. */
bool softhsm_add(const char *label);

/* Opens a token of the folder and waits until it is ready; NULL when it does
 * not get there. */
struct hsm *softhsm_open(
    const struct softhsm *s, const char *uri, unsigned deadline_ms);
struct hsm *softhsm_open_with(const struct hsm_settings *settings);

/* Takes the token away, and puts it back. */
bool softhsm_hide(struct softhsm *s);
bool softhsm_show(struct softhsm *s);

/*
 * The module's function list in this process, the one that the code under
 * test calls through. A test may put functions of its own there to make the
 * HSM behave as others do; softhsm_functions_restore() undoes that, and
 * softhsm_original() are the real ones.
 */
CK_FUNCTION_LIST_PTR softhsm_functions(void);
const CK_FUNCTION_LIST *softhsm_original(void);
void softhsm_functions_restore(void);

/* How many objects the first token holds, or the sessions of this process:
 * where the module is in it. False when it would not say. */
bool softhsm_count(bool token, size_t *out);

#endif
