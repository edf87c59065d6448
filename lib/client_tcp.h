/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_TCP_H
#define LIB_CLIENT_TCP_H

#include <stdint.h>

#include <holdfast/err.h>

#include "address.h"

/*
 * Connects a non-blocking socket to the host and port of the address, trying
 * all addresses of a name within the deadline, or within four seconds if that
 * is sooner. HF_ERR_UNREACHABLE with the reason when nobody is there.
 *
 * A name is looked up by the C library, which may take as long as
 * resolv.conf(5) lets it, beyond the deadline; an address is not looked up.
 */
enum hf_err client_tcp_open(
    const struct address *to, int64_t deadline, int *out, struct hf_why *why);

#endif
