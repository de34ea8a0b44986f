/* unit.c: the table of units, and the canonical form of their names. */
#include "reward-server/scoring/math/unit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "reward-server/scoring/math/lex_table.h"

static const struct unit {
    const char *word, *name;
    const char *dimension; /* NULL: a word without a quantity */
    struct math_small factor;
} units[] = {
    {"mm", "mm", "length", {1, 1000}},
    {"millimeter", "mm", "length", {1, 1000}},
    {"millimetre", "mm", "length", {1, 1000}},
    {"cm", "cm", "length", {1, 100}},
    {"centimeter", "cm", "length", {1, 100}},
    {"centimetre", "cm", "length", {1, 100}},
    {"m", "m", "length", {1, 1}},
    {"meter", "m", "length", {1, 1}},
    {"metre", "m", "length", {1, 1}},
    {"km", "km", "length", {1000, 1}},
    {"kilometer", "km", "length", {1000, 1}},
    {"kilometre", "km", "length", {1000, 1}},
    {"inch", "inch", "length", {127, 5000}},
    {"inche", "inch", "length", {127, 5000}},
    {"ft", "foot", "length", {381, 1250}},
    {"foot", "foot", "length", {381, 1250}},
    {"feet", "foot", "length", {381, 1250}},
    {"yard", "yard", "length", {1143, 1250}},
    {"yd", "yard", "length", {1143, 1250}},
    {"mile", "mile", "length", {201168, 125}},
    {"mi", "mile", "length", {201168, 125}},
    {"mg", "mg", "mass", {1, 1000}},
    {"g", "g", "mass", {1, 1}},
    {"gm", "g", "mass", {1, 1}},
    {"gram", "g", "mass", {1, 1}},
    {"kg", "kg", "mass", {1000, 1}},
    {"kilogram", "kg", "mass", {1000, 1}},
    {"lb", "pound", NULL, {1, 1}},
    {"pound", "pound", NULL, {1, 1}},
    {"oz", "ounce", NULL, {1, 1}},
    {"ounce", "ounce", NULL, {1, 1}},
    {"ton", "ton", NULL, {1, 1}},
    {"s", "second", "time", {1, 1}},
    {"sec", "second", "time", {1, 1}},
    {"second", "second", "time", {1, 1}},
    {"min", "minute", "time", {60, 1}},
    {"minute", "minute", "time", {60, 1}},
    {"h", "hour", "time", {3600, 1}},
    {"hr", "hour", "time", {3600, 1}},
    {"hour", "hour", "time", {3600, 1}},
    {"day", "day", "time", {86400, 1}},
    {"week", "week", "time", {604800, 1}},
    {"month", "month", NULL, {1, 1}},
    {"year", "year", NULL, {1, 1}},
    {"yr", "year", NULL, {1, 1}},
    {"dollar", "dollar", "money", {1, 1}},
    {"usd", "dollar", "money", {1, 1}},
    {"cent", "cent", "money", {1, 100}},
    {"euro", "euro", NULL, {1, 1}},
    {"eur", "euro", NULL, {1, 1}},
    {"ml", "ml", "volume", {1, 1000}},
    {"milliliter", "ml", "volume", {1, 1000}},
    {"l", "liter", "volume", {1, 1}},
    {"liter", "liter", "volume", {1, 1}},
    {"litre", "liter", "volume", {1, 1}},
    {"gallon", "gallon", NULL, {1, 1}},
    {"percent", "percent", "share", {1, 100}},
    {"degree", "degree", NULL, {1, 1}},
    {"radian", "radian", NULL, {1, 1}},
    {"mph", "mile/hour", NULL, {1, 1}},
    {"kph", "km/hour", NULL, {1, 1}},
    {"hz", "hz", NULL, {1, 1}},
    {"unit", "unit", NULL, {1, 1}},
};

/* Without its plural ending, into word; the table's entry, or NULL. */
static const struct unit *find(const char *s, size_t n, char word[MATH_UNIT_BYTES_MAX])
{
    (void)snprintf(word, MATH_UNIT_BYTES_MAX, "%.*s", (int)n, s);
    for (char *c = word; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    for (int plural = 0; plural < 2; plural++) {
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            if (strcmp(units[i].word, word) == 0)
                return &units[i];
        }
        size_t len = strlen(word);
        if (len < 3 || word[len - 1] != 's')
            break;
        word[len - 1] = '\0';
    }
    return NULL;
}

bool unit_known(const char *word, size_t n)
{
    char buffer[MATH_UNIT_BYTES_MAX];
    return n < MATH_UNIT_BYTES_MAX && find(word, n, buffer) != NULL;
}

bool lex_unit_word(const char *word, size_t n)
{
    return unit_known(word, n) || (n == 3 && strncmp(word, "per", 3) == 0);
}

/* Words that change what stands before them: "5 or more" is no quantity. */
static bool is_denial(const char *word)
{
    static const char *const denials[] = {"not", "no", "never", "isn't", "isn", "n't", "is", "are",
        "was", "or", "and", "but", "than", "if", "unless", "except", "wrong", "incorrect", "false",
        "without", "more", "les", "less", "least", "most", "at", "fewer", "when", "where", "for",
        "plu", "plus", "minu", "minus", "mod", "modulo"};
    for (size_t i = 0; i < ARRAY_LEN(denials); i++) {
        if (strcmp(denials[i], word) == 0)
            return true;
    }
    return false;
}

bool unit_canonical(const char *words, char ret[MATH_UNIT_BYTES_MAX])
{
    char out[MATH_UNIT_BYTES_MAX + 32] = "", word[MATH_UNIT_BYTES_MAX];
    const char *power = "";
    if (strlen(words) >= MATH_UNIT_BYTES_MAX)
        return false;
    for (const char *c = words; *c != '\0';) {
        size_t n = strcspn(c, " ./\n-"), len = strlen(out);
        const char *hat = memchr(c, '^', n);
        size_t letters = hat != NULL ? (size_t)(hat - c) : n;
        const struct unit *u = letters > 0 ? find(c, letters, word) : NULL;
        if (letters > 0 && is_denial(word))
            return false;
        if (letters > 0 && (strcmp(word, "square") == 0 || strcmp(word, "sq") == 0)) {
            power = "^2";
        } else if (letters > 0 && (strcmp(word, "cubic") == 0 || strcmp(word, "cu") == 0)) {
            power = "^3";
        } else if (strcmp(word, "per") == 0 && letters > 0) {
            (void)snprintf(out + len, sizeof(out) - len, "/");
        } else if (letters > 0) {
            bool gap = len > 0 && out[len - 1] != '/';
            (void)snprintf(out + len, sizeof(out) - len, "%s%s%s%.*s", gap ? " " : "",
                u != NULL ? u->name : word, power, hat != NULL ? (int)(n - letters) : 0,
                hat != NULL ? hat : "");
            power = "";
        }
        c += n;
        len = strlen(out);
        if (*c == '/')
            (void)snprintf(out + len, sizeof(out) - len, "/");
        c += *c != '\0';
    }
    if (strlen(out) >= MATH_UNIT_BYTES_MAX)
        return false;
    memcpy(ret, out, strlen(out) + 1);
    return true;
}

bool unit_factor(const char *canonical, const char **ret_dimension, struct math_small *ret)
{
    size_t n = strcspn(canonical, "^");
    int power = canonical[n] == '^' ? atoi(canonical + n + 1) : 1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].dimension == NULL || strlen(units[i].name) != n ||
            strncmp(units[i].name, canonical, n) != 0 || power < 1 || power > 3)
            continue;
        static const char *const powers[][3] = {{"length", "area", "space"}};
        bool length = strcmp(units[i].dimension, "length") == 0;
        if (power > 1 && !length)
            return false;
        *ret_dimension = length ? powers[0][power - 1] : units[i].dimension;
        *ret = (struct math_small){1, 1};
        for (int k = 0; k < power; k++) {
            ret->num *= units[i].factor.num;
            ret->den *= units[i].factor.den;
        }
        return true;
    }
    return false;
}
