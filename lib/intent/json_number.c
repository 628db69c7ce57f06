/*
 * Numbers, by their digits alone. A Postgres numeric holds 131072 digits before the point and 16383 after it (its documentation, section
 * 8.1.2); the exponent moves the point first, and zeros at the end of a fraction count. Checked against Postgres 15 at each edge.
 */
#include "leat/json.h"

#define DIGITS_BEFORE_POINT 131072
#define DIGITS_AFTER_POINT 16383
#define EXPONENT_LIMIT 1073741823 /* numeric_in refuses it and above, even for a zero */

static int64_t skip_digits(const char **at, const char *end)
{
	const char *start = *at;
	while (*at < end && **at >= '0' && **at <= '9')
		(*at)++;
	return *at - start;
}

static bool read_exponent(const char **at, const char *end, int64_t *exponent)
{
	bool negative = *at < end && **at == '-';
	if (negative || (*at < end && **at == '+'))
		(*at)++;
	const char *digits = *at;
	if (skip_digits(at, end) == 0)
		return false;
	int64_t value = 0;
	for (; digits < *at && value < EXPONENT_LIMIT; digits++)
		value = value * 10 + (*digits - '0');
	*exponent = negative ? -value : value;
	return true;
}

static int64_t leading_zeros(const char *digits, int64_t count)
{
	int64_t zeros = 0;
	while (zeros < count && digits[zeros] == '0')
		zeros++;
	return zeros;
}

bool leat_json_number(const char **at, const char *end, bool *storable)
{
	if (*at < end && **at == '-')
		(*at)++;
	const char *whole = *at;
	const char *whole_end = *at < end && **at == '0' ? *at + 1 : end; /* nothing follows a leading zero */
	int64_t whole_digits = skip_digits(at, whole_end);
	if (whole_digits == 0)
		return false;
	const char *fraction = *at;
	int64_t fraction_digits = 0;
	if (*at < end && **at == '.') {
		fraction = ++*at;
		fraction_digits = skip_digits(at, end);
		if (fraction_digits == 0)
			return false;
	}
	int64_t exponent = 0;
	if (*at < end && (**at == 'e' || **at == 'E')) {
		(*at)++;
		if (!read_exponent(at, end, &exponent))
			return false;
	}
	int64_t zeros = leading_zeros(fraction, fraction_digits);
	bool zero = *whole == '0' && zeros == fraction_digits;
	int64_t digits_before_point = (*whole == '0' ? -zeros : whole_digits) + exponent;
	*storable = exponent < EXPONENT_LIMIT && exponent > -EXPONENT_LIMIT && fraction_digits - exponent <= DIGITS_AFTER_POINT &&
		(zero || digits_before_point <= DIGITS_BEFORE_POINT);
	return true;
}
