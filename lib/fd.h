/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_FD_H
#define LIB_FD_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * Reads and writes all that was asked for, however many calls that takes and
 * whatever signal comes in between. The descriptor must be one that blocks.
 * HF_ERR_SYSTEM when the kernel refuses: errno tells why, and so does `why`,
 * unless it is NULL.
 */

/* *done is less than `len` only at the end of the file, or after an error. */
enum hf_err fd_read(
    int fd, void *out, size_t len, size_t *done, struct hf_why *why);
enum hf_err fd_pread(int fd, void *out, size_t len, uint64_t offset,
    size_t *done, struct hf_why *why);

enum hf_err fd_write(int fd, struct hf_bytes data, struct hf_why *why);
enum hf_err fd_pwrite(
    int fd, struct hf_bytes data, uint64_t offset, struct hf_why *why);

/* Closes what is open; -1 is fine. For what needs no word about how it went. */
void fd_close(int fd);

#endif
