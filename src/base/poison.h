/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poison.h - functions that no file of this project may call
 *
 * Included before everything else by the build (-include). The headers that
 * declare the banned functions come first, so that only our own uses fail.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With fortification and clang these two are macros. */
#undef sprintf
#undef vsprintf
#pragma GCC poison sprintf vsprintf strcpy strcat strncpy strncat strtok
#pragma GCC poison atoi atol atoll gets system popen strerror
