/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_FOLDER_H
#define KEYD_FOLDER_H

#include <stdbool.h>

/*
 * Puts the names in a folder on the disk. False with errno when it cannot.
 */
bool folder_sync(const char *folder);

/*
 * Puts the name of a file on the disk: syncs the folder that it is in, which
 * fsync(2) of the file need not do. False with errno when it cannot.
 */
bool folder_sync_name(const char *path);

#endif
