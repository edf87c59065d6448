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
 *
 * A pidfd is a descriptor for each connection, so connections of one process
 * share an identity (identity_known.h).
 *
 * How far each can be trusted:
 *
 * uid, groups   As far as the kernel. They are those of the moment of connect.
 *
 * unit          Only units of the system's own service manager, which root
 *               alone can make. A cgroup path is read from the root: slices
 *               are passed over, and the first thing that is none is the unit.
 *               Whatever stands further down was made inside of that unit, by
 *               whom the unit delegated it to: a user may call a cgroup below
 *               user@1000.service "nginx.service", and so may a container
 *               below docker-1234.scope. Below user.slice there is no unit at
 *               all: sessions and users' own units say no more than the uid.
 *
 * exe           Says which program file runs, not who controls it. Whoever may
 *               execute a file may make it run code of theirs (LD_PRELOAD, a
 *               debugger, a script given to an interpreter). It narrows what a
 *               uid or a unit may do (`require` in a bind block); alone it is
 *               only as good as the permission to execute the file. The file
 *               of that path must be the very file that runs (device and
 *               inode, so that a mount namespace cannot fake the path), and
 *               root alone may be able to change it and the folders above it.
 *               Reading it for other users takes CAP_SYS_PTRACE; without that
 *               `exe` is NULL and nothing bound to it applies.
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
	char *exe; /* "/usr/sbin/nginx"; NULL when unknown */
	dev_t exe_dev;
	ino_t exe_ino;
	bool exe_trusted; /* root alone can write it and the folders above */
	char *unit; /* "nginx.service", of the system; NULL when in none */
	char *cert; /* TLS: subject CN, or the first DNS or URI SAN */
	char *cert_subject; /* RFC 2253 */
	char cert_sha256[65];
	uint64_t caller; /* one number a user, unit and program, or a
			    certificate; for counting (usage.h) */
	char label[160]; /* for logs, audit: "uid=1000 pid=42 exe=/usr/bin/x" */
	/* For identity_known.c alone. */
	struct identities *known; /* NULL: it is not shared */
	struct identity *next;
	unsigned users;
};

/*
 * From a connected AF_UNIX stream socket. HF_ERR_NOT_IDENTIFIED: refuse it; so
 * is a process that ended already, that changed its uid since it connected, or
 * that has more than IDENTITY_GROUPS groups. `known` (identity_known.h) may be
 * NULL: then none is shared.
 */
struct identities;
enum hf_err identity_of_socket(
    struct identities *known, int fd, struct identity **out);

/* From a verified certificate; the strings are copied. */
enum hf_err identity_of_cert(const char *name, const char *subject,
    const char sha256[65], const char *address, struct identity **out);

/* Each that was given is to be freed; the last of those that are shared takes
 * it along. NULL is fine. */
void identity_free(struct identity *id);

/*
 * Whether the process that connected still runs and still runs the same
 * program (device and inode). Cheap enough for each request when a policy
 * speaks of exe or unit (two system calls); always true for certificates.
 */
bool identity_still_valid(const struct identity *id);

/*
 * Whether a subject of a policy ("uid:1000", "user:alice", "gid:4",
 * "group:adm", "unit:nginx.service", "exe:/usr/sbin/sshd", "cert:web1",
 * "any:local") names this identity. user: and group: are looked up by
 * subject_parse, when the policy is loaded; a name that the system does not
 * know is refused. An exe: must be the file itself, not a link to it.
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

/* "uid:33", "exe:/usr/sbin/sshd", ... HF_ERR_BAD_VALUE with a sentence in
 * `why`; subject_free() what succeeded. */
enum hf_err subject_parse(
    struct hf_text text, struct subject *out, struct hf_why *why);
void subject_free(struct subject *subject);

/* The name that the system has for a user. HF_ERR_NOT_FOUND, HF_ERR_SYSTEM. */
enum { SUBJECT_USER_MAX = 256 };
enum hf_err subject_user_name(uid_t uid, char out[SUBJECT_USER_MAX]);

/* Whether the subject is that caller, or one of its groups. */
bool subject_names(const struct subject *subject, const struct identity *id);

/*
 * An identity made of subjects, for `policy test`. "uid:" and "user:" bring
 * the groups of that user along when the system knows them.
 */
enum hf_err identity_of_subjects(const struct hf_text *subjects, size_t count,
    struct identity **out, struct hf_why *why);

#endif
