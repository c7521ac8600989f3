/* SPDX-License-Identifier: Apache-2.0 */
/*
 * method.h - the methods that the API knows
 */
#pragma once

enum api_method {
	API_GET,
	API_PUT,
	API_PATCH,
	API_DELETE,
	API_NR_METHODS,
};
