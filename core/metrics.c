/* metrics.c — the values. */
#include "metrics.h"

_Atomic uint64_t metric_values[M_COUNT];
