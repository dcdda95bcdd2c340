/* The verdict of the stress test: measured figures against limits. */
#ifndef HL_APP_STRESS_LIMITS_H
#define HL_APP_STRESS_LIMITS_H

#include "app/config/config.h"
#include "base/json.h"

/* What hl_limits is about. NAN, or infinite: was not measured. */
typedef struct hl_figures {
    double p99_ms, deadline_miss_rate, samples_per_s, training_samples_per_s;
    double rss_slope_bytes_per_minute, peak_bytes, skipped_steps;
} hl_figures;

/* All NAN. */
hl_figures hl_figures_none(void);
/* Of each figure the worse of two; one that was not measured is no figure. */
hl_figures hl_figures_worse(hl_figures a, hl_figures b);

enum { HL_LIMITS = 7 };

/* A limit that is set. A figure that was not measured does not keep it. */
typedef struct hl_judged {
    const char *key;
    bool at_least; /* else: at most */
    bool whole;    /* bytes or a count */
    double limit, value;
    bool pass;
} hl_judged;

typedef struct hl_verdict {
    int n; /* limits that are set, none perhaps */
    hl_judged at[HL_LIMITS];
    bool pass; /* all of them */
} hl_verdict;

hl_verdict hl_judge(const hl_limits *limits, const hl_figures *figures);
/* "pass", "fail", or "no limits" where none of n verdicts has one. */
const char *hl_verdict_name(int n, const hl_verdict *verdicts);
/* [{"key", "limit", "value", "pass"}, ...]; where the value is null a "reason" too. NULL if there is no
 * memory. */
json_t *hl_verdict_json(const hl_verdict *verdict);
#endif
