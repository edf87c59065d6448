/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_verify reads files that an attacker may have written. Whatever is in
 * them, it ends, stays inside its buffers, and reports no more lines than
 * there are.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../keyd/audit.h"
#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of the corpus: P-256, public. */
static const char pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYCMVS5iJnGJbpiFQBAaKDvoHx6EG\n"
    "ODjb5pQw7FEkZAspxOjARSsfyhLPNilI/OVDUGSz7SBMYQcDHwI7JGyQig==\n"
    "-----END PUBLIC KEY-----\n";

static struct hf_bytes
public_key(void)
{
	static uint8_t spki[1024];
	static size_t len;
	struct hf_why why;

	if (len == 0 &&
	    (crypto_init(&why) != HF_OK ||
		crypto_pem_spki(TEXT(pem), spki, sizeof(spki), &len) != HF_OK))
		abort();
	return bytes_of(spki, len);
}

static size_t
count_newlines(const uint8_t *data, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += data[i] == '\n';
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("audit", MFD_CLOEXEC);
	struct audit_report report;
	struct hf_why why = { 0 };
	char path[64];
	const char *const files[] = { path };
	struct hf_bytes key = public_key();
	enum hf_err err;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = audit_verify(files, 1, &key, 1, NULL, &report, &why);
	assert(err == HF_OK || err == HF_ERR_AUDIT_BROKEN);
	assert((err == HF_OK) == (why.text[0] == '\0'));
	assert(report.lines <= count_newlines(data, size));
	(void)close(fd);
	return 0;
}
