/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_AUDIT_BACKING_H
#define KEYD_AUDIT_BACKING_H

#include "server.h"

/*
 * What the audit log needs from below: the HSM's key signs its checkpoints,
 * the store remembers its head (audit/head) and the key with which values are
 * hashed (audit/hash-key, sealed).
 */
enum hf_err audit_backing_open(struct server *s,
    const struct audit_settings *settings, struct audit **out,
    struct hf_why *why);

/* The keyrings are open: from now on values are hashed with the stored key,
 * which is made at the first time. */
enum hf_err audit_backing_unlocked(struct server *s);

/* Writes the key that signs now to a file, before there is a log. */
enum hf_err audit_backing_publish(struct server *s, const char *path);

#endif
