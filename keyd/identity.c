/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "identity_known.h"
#include "identity_proc.h"
#include "siphash.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; Debian 12's headers are older */
#endif

static struct identity *
identity_new(void)
{
	struct identity *id = calloc(1, sizeof(*id));

	if (id == NULL)
		return NULL;
	id->uid = (uid_t)-1;
	id->gid = (gid_t)-1;
	id->pidfd = -1;
	return id;
}

void
identity_free(struct identity *id)
{
	if (id == NULL || !identities_leave(id))
		return;
	fd_close(id->pidfd);
	free(id->groups);
	free(id->exe);
	free(id->unit);
	free(id->cert);
	free(id->cert_subject);
	free(id);
}

/* Labels go into logs: one line, printable. */
static void
clean_label(struct identity *id)
{
	for (char *c = id->label; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			*c = *c == ' ' ? ' ' : '?';
}

/* Equal for equal callers, also after a restart: it stands in the store. Who
 * makes two look like one gains nothing. */
static uint64_t
caller_hash(const struct identity *id)
{
	static const uint8_t seed[16] = "holdfast caller";
	char text[5000];

	if (id->local)
		(void)snprintf(text, sizeof(text), "uid=%u unit=%s exe=%s",
		    (unsigned)id->uid, id->unit == NULL ? "" : id->unit,
		    id->exe == NULL ? "" : id->exe);
	else
		(void)snprintf(text, sizeof(text), "cert=%s", id->cert_sha256);
	return siphash(seed, bytes_of_text(text_of(text)));
}

static void
label_local(struct identity *id)
{
	(void)snprintf(id->label, sizeof(id->label), "uid=%u pid=%d%s%s%s%s",
	    (unsigned)id->uid, (int)id->pid,
	    id->unit == NULL ? "" : " unit=", id->unit == NULL ? "" : id->unit,
	    id->exe == NULL ? "" : " exe=", id->exe == NULL ? "" : id->exe);
	clean_label(id);
}

static enum hf_err
read_credentials(int fd, struct identity *id)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    len != sizeof(cred) || cred.uid == (uid_t)-1)
		return HF_ERR_NOT_IDENTIFIED;
	len = sizeof(domain);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
	    domain != AF_UNIX)
		return HF_ERR_NOT_IDENTIFIED;
	id->local = true;
	id->uid = cred.uid;
	id->gid = cred.gid;
	id->pid = cred.pid;
	return HF_OK;
}

/* A list that was cut could hide a group that policy denies: all or none. */
static enum hf_err
read_groups(int fd, struct identity *id)
{
	gid_t groups[IDENTITY_GROUPS];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
		return HF_ERR_NOT_IDENTIFIED;
	if (len == 0)
		return HF_OK;
	id->groups = malloc(len);
	if (id->groups == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(id->groups, groups, len);
	id->group_count = len / sizeof(gid_t);
	return HF_OK;
}

/*
 * Without SO_PEERPIDFD the pid may have gone to another process between
 * connect and here. proc_read() compares the uid, so it can only have gone to
 * a process of the same user.
 */
static enum hf_err
open_pidfd(int fd, struct identity *id)
{
	socklen_t len = sizeof(id->pidfd);
	int pidfd = -1;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0) {
		id->pidfd = pidfd;
		return HF_OK;
	}
	if (errno != ENOPROTOOPT)
		return HF_ERR_NOT_IDENTIFIED; /* ESRCH: it is gone */
	if (id->pid <= 0)
		return HF_OK; /* of a pid namespace that we do not see */
	id->pidfd = pidfd_open(id->pid, 0);
	return id->pidfd < 0 && errno != ENOSYS ? HF_ERR_NOT_IDENTIFIED : HF_OK;
}

static enum hf_err
read_process(int fd, struct identity *id)
{
	enum hf_err err;

	if ((err = open_pidfd(fd, id)) != HF_OK)
		return err;
	if (id->pidfd < 0 || id->pid <= 0)
		return HF_OK; /* nothing to tie exe and unit to */
	if ((err = proc_read(id)) != HF_OK)
		return err;
	/* Alive afterwards: then /proc/PID was this process all the time. */
	return process_lives(id->pidfd) ? HF_OK : HF_ERR_NOT_IDENTIFIED;
}

enum hf_err
identity_of_socket(struct identities *known, int fd, struct identity **out)
{
	struct identity *id = identity_new();
	enum hf_err err;

	if (id == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = read_credentials(fd, id)) != HF_OK ||
	    (err = read_groups(fd, id)) != HF_OK ||
	    (err = read_process(fd, id)) != HF_OK) {
		identity_free(id);
		return err;
	}
	label_local(id);
	id->caller = caller_hash(id);
	*out = identities_share(known, id);
	return HF_OK;
}

enum hf_err
identity_of_cert(const char *name, const char *subject, const char sha256[65],
    const char *address, struct identity **out)
{
	struct identity *id = identity_new();

	if (id == NULL)
		return HF_ERR_NO_MEMORY;
	id->cert = strdup(name);
	id->cert_subject = strdup(subject);
	if (id->cert == NULL || id->cert_subject == NULL) {
		identity_free(id);
		return HF_ERR_NO_MEMORY;
	}
	(void)snprintf(
	    id->cert_sha256, sizeof(id->cert_sha256), "%.64s", sha256);
	(void)snprintf(id->label, sizeof(id->label), "cert=%.90s address=%.50s",
	    name, address);
	clean_label(id);
	id->caller = caller_hash(id);
	*out = id;
	return HF_OK;
}

bool
identity_still_valid(const struct identity *id)
{
	dev_t dev;
	ino_t ino;

	if (!id->local)
		return true;
	if (id->pidfd < 0) /* then exe and unit were never filled in */
		return id->exe == NULL && id->unit == NULL;
	if (id->exe != NULL &&
	    (!proc_exe_file(id->pid, &dev, &ino) || dev != id->exe_dev ||
		ino != id->exe_ino))
		return false;
	return process_lives(id->pidfd); /* last: it vouches for the above */
}
