/*
 * The public half of an nkey, which the library wants beside the seed file and people should not have to copy.
 *
 * An nkey is base32 of: prefix, 32 bytes, CRC-16 (XMODEM, low byte first). A user's public key has the prefix 'U' in one byte, its seed
 * 'S' and 'U' in two, five bits each. The 32 bytes are of Ed25519 (RFC 8032).
 *
 * Possible failure modes are: the file can't be read, or holds no user's seed (PERMANENT both). No text of the file gets into a message.
 */
#include "internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES 4096
#define KEY_BYTES 32
#define SEED_LETTERS 58 /* 2 + 32 + 2 bytes */
#define SEED_BYTES 36
#define PREFIX_SEED (18 << 3)
#define PREFIX_USER (20 << 3)

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static uint16_t crc16(const unsigned char *bytes, size_t count)
{
	unsigned crc = 0;
	for (size_t i = 0; i < count; i++) {
		crc ^= (unsigned)bytes[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021U : 0);
	}
	return (uint16_t)crc;
}

static void encode(const unsigned char *bytes, size_t count, char *out)
{
	unsigned held = 0;
	int bits = 0;
	for (size_t i = 0; i < count; i++) {
		held = held << 8 | bytes[i];
		for (bits += 8; bits >= 5; bits -= 5)
			*out++ = letters[held >> (bits - 5) & 31];
	}
	if (bits > 0)
		*out++ = letters[held << (5 - bits) & 31];
	*out = '\0';
}

static bool decode_seed(const char *text, unsigned char out[SEED_BYTES])
{
	unsigned held = 0;
	int bits = 0;
	size_t count = 0;
	for (size_t i = 0; i < SEED_LETTERS; i++) {
		const char *letter = strchr(letters, text[i]);
		if (letter == NULL || *letter == '\0')
			return false;
		held = held << 5 | (unsigned)(letter - letters);
		for (bits += 5; bits >= 8; bits -= 8)
			out[count++] = (unsigned char)(held >> (bits - 8));
	}
	return out[0] == (PREFIX_SEED | PREFIX_USER >> 5) && out[1] == (PREFIX_USER & 31) << 3 &&
		crc16(out, SEED_BYTES - 2) == (out[SEED_BYTES - 2] | out[SEED_BYTES - 1] << 8);
}

/* A line of its own, whatever stands around it: the tools write it bare or between two lines of dashes. */
static bool find_seed(const char *text, unsigned char out[SEED_BYTES])
{
	for (const char *line = text; *line != '\0'; line += strcspn(line, "\r\n"), line += strspn(line, "\r\n")) {
		line += strspn(line, " \t");
		if (strspn(line, letters) == SEED_LETTERS && decode_seed(line, out))
			return true;
	}
	return false;
}

static void encode_public(const unsigned char key[KEY_BYTES], char out[BUS_NKEY_BYTES])
{
	unsigned char bytes[1 + KEY_BYTES + 2] = {PREFIX_USER};
	memcpy(bytes + 1, key, KEY_BYTES);
	uint16_t crc = crc16(bytes, 1 + KEY_BYTES);
	bytes[1 + KEY_BYTES] = (unsigned char)(crc & 0xFF);
	bytes[2 + KEY_BYTES] = (unsigned char)(crc >> 8);
	encode(bytes, sizeof bytes, out);
}

enum leat_kind bus_nkey_read(char out[BUS_NKEY_BYTES], const char *path, struct leat_error *err)
{
	char text[FILE_BYTES + 1];
	unsigned char seed[SEED_BYTES];
	unsigned char key[KEY_BYTES];
	size_t key_bytes = sizeof key;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "LEAT_NATS_NKEY: can't read %s: %s", path, strerror(errno));
	text[fread(text, 1, FILE_BYTES, file)] = '\0';
	fclose(file);
	bool found = find_seed(text, seed);
	explicit_bzero(text, sizeof text);
	if (!found)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
			"LEAT_NATS_NKEY: %s holds no user's seed (a line of %d letters and digits that begins with SU)", path, SEED_LETTERS);
	EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed + 2, KEY_BYTES);
	explicit_bzero(seed, sizeof seed);
	bool made = pair != NULL && EVP_PKEY_get_raw_public_key(pair, key, &key_bytes) == 1;
	EVP_PKEY_free(pair);
	if (!made)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "LEAT_NATS_NKEY: OpenSSL can't use the key in %s", path);
	encode_public(key, out);
	return LEAT_OK;
}
