/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_IDENTITY_H
#define KEYD_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * Who is at the other end of a connection. On the local socket the kernel says
 * it, once, at connect (SO_PEERCRED, SO_PEERGROUPS, SO_PEERPIDFD where the
 * kernel has it, else pidfd_open checked against SO_PEERCRED); executable and
 * unit are read from /proc while the pidfd proves that the process still is
 * the one that connected. Over TLS it is the verified client certificate.
 * A process that dies, or that runs another program than at connect, is not
 * the one that was identified: identity_still_valid() tells.
 */
enum { IDENTITY_GROUPS = 256 };

struct identity {
	bool local; /* false: TLS */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int pidfd; /* -1: the kernel has none */
	gid_t *groups;
	size_t group_count;
	char *exe;  /* "/usr/sbin/nginx"; NULL when unknown */
	dev_t exe_dev;
	ino_t exe_ino;
	bool exe_trusted; /* root alone can write it and the folders above */
	char *unit; /* "nginx.service"; NULL when in none */
	char *cert; /* TLS: subject CN, or the first DNS or URI SAN */
	char *cert_subject; /* RFC 2253 */
	char cert_sha256[65];
	char label[160]; /* for logs and audit: "uid=1000 pid=42 exe=/usr/bin/x" */
};

/* From a connected AF_UNIX stream socket. HF_ERR_NOT_IDENTIFIED: refuse it. */
enum hf_err identity_of_socket(int fd, struct identity **out);

/* From a verified certificate; the strings are copied. */
enum hf_err identity_of_cert(const char *name, const char *subject,
    const char sha256[65], const char *address, struct identity **out);

/* NULL is fine. */
void identity_free(struct identity *id);

/*
 * Whether the process that connected still runs and still runs the same
 * program (device and inode). Cheap enough for each request when a policy
 * speaks of exe or unit; always true for certificates.
 */
bool identity_still_valid(const struct identity *id);

/*
 * Whether a subject of a policy ("uid:1000", "user:alice", "gid:4",
 * "group:adm", "unit:nginx.service", "exe:/usr/sbin/sshd", "cert:web1",
 * "any:local") names this identity. user: and group: are looked up when the
 * policy is loaded, not here: see identity_subject_parse.
 */
struct subject {
	enum subject_kind {
		SUBJECT_UID,
		SUBJECT_GID,
		SUBJECT_UNIT,
		SUBJECT_EXE,
		SUBJECT_CERT,
		SUBJECT_LOCAL, /* anybody on the local socket */
	} kind;
	uint64_t number;
	char *text; /* owned */
};

enum hf_err subject_parse(struct hf_text text, struct subject *out,
    struct hf_why *why);
void subject_free(struct subject *subject);
bool subject_names(const struct subject *subject, const struct identity *id);

/*
 * An identity made of subjects, for `policy test`. "uid:" and "user:" bring
 * the groups of that user along when the system knows them.
 */
enum hf_err identity_of_subjects(const struct hf_text *subjects, size_t count,
    struct identity **out, struct hf_why *why);

#endif
