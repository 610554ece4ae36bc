/* nearest.c — the distance between two words (see nearest.h). Owns nothing. */
#include "base/nearest.h"

#include <string.h>

#include "base/wc.h"

size_t edit_distance(const char *a, size_t a_len, const char *b)
{
	const size_t b_len = strlen(b);
	size_t row[NEAREST_LONGEST + 1];
	if (a_len > NEAREST_LONGEST || b_len > NEAREST_LONGEST)
		return NEAREST_LONGEST;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			const size_t above = row[j], change = diagonal + (a[i - 1] != b[j - 1]);
			row[j] = WC_MIN(change, WC_MIN(above, row[j - 1]) + 1);
			diagonal = above;
		}
	}
	return row[b_len];
}
