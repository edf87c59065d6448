/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_IO_SOURCE_H
#define KEYD_IO_SOURCE_H

/* First member of whatever an I/O thread's epoll reports. */
struct io_source {
	enum io_source_kind {
		SOURCE_CONNECTION,
		SOURCE_LISTENER,
		SOURCE_ANSWER, /* an HSM has one */
		SOURCE_WAKE,   /* another thread put something into the inbox */
	} kind;
};

#endif
