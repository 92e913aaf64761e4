package database

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// Token is a token of the operator's API, without its secret.
type Token struct {
	// Name has 1 to 64 letters, digits, -, . and _.
	Name string
	// Role is what the holder may do. The database does not know the roles.
	Role string
	// CreatedAt is set by AddToken.
	CreatedAt time.Time
}

const tokenColumns = "name, role, created_at"

var tokenName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func scanToken(row scanner) (Token, error) {
	var token Token
	var created int64
	err := row.Scan(&token.Name, &token.Role, &created)
	token.CreatedAt = timeOf(created)
	return token, err
}

// AddToken stores a token by the hash of its secret and returns it with the time of creation. It returns ErrExists if
// the name is taken, and ErrInvalid if it is malformed.
func (d *Database) AddToken(ctx context.Context, token Token, hash []byte) (Token, error) {
	if !tokenName.MatchString(token.Name) {
		return Token{}, fmt.Errorf("add token %.128q: the name must be 1 to 64 letters, digits, -, . or _: %w",
			token.Name, ErrInvalid)
	}
	token.CreatedAt = time.Now().UTC()
	err := d.write(ctx, flushed, func(tx *transaction) error {
		result, err := tx.ExecContext(ctx,
			"INSERT INTO tokens ("+tokenColumns+", hash) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			token.Name, token.Role, nanosOf(token.CreatedAt), hash)
		return existing(result, err)
	})
	if err != nil {
		return Token{}, fmt.Errorf("add token %q: %w", token.Name, err)
	}
	return token, nil
}

// Tokens returns all tokens by name.
func (d *Database) Tokens(ctx context.Context) ([]Token, error) {
	tokens, err := all(ctx, d, scanToken, "SELECT "+tokenColumns+" FROM tokens ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

// Token returns the token whose secret has this hash, or ErrNotFound.
func (d *Database) Token(ctx context.Context, hash []byte) (Token, error) {
	token, err := one(ctx, d, scanToken, "SELECT "+tokenColumns+" FROM tokens WHERE hash = $1", hash)
	if err != nil {
		return Token{}, fmt.Errorf("read a token: %w", err)
	}
	return token, nil
}

// RemoveToken removes a token. It returns ErrNotFound if there is no such token.
func (d *Database) RemoveToken(ctx context.Context, name string) error {
	rows, err := d.exec(ctx, flushed, "DELETE FROM tokens WHERE name = $1", name)
	if err == nil && rows == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("remove token %.128q: %w", name, err)
	}
	return nil
}
