/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_TLS_H
#define TOOLS_BENCH_TLS_H

struct place;

/* Ends the web servers that tls_handshakes() started. */
void tls_stop(struct place *p);

#endif
