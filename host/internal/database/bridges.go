package database

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Bridge is an external adapter that pipelines call by name.
type Bridge struct {
	// Name has 1 to 100 of a-z, 0-9, - and _. Capital letters become small ones everywhere, since job specs ignore
	// letter case.
	Name string
	// URL is absolute, http or https. It may contain a token, so errors never repeat it, and the database file has it
	// sealed.
	URL string
	// CreatedAt is set by AddBridge.
	CreatedAt time.Time
}

const bridgeColumns = "name, url, created_at"

var bridgeName = regexp.MustCompile(`^[a-z0-9_-]{1,100}$`)

func (d *Database) scanBridge(row scanner) (Bridge, error) {
	var bridge Bridge
	var created int64
	var sealed []byte
	err := row.Scan(&bridge.Name, &sealed, &created)
	bridge.CreatedAt = timeOf(created)
	if err == nil {
		bridge.URL, err = d.unseal(tableBridges, bridge.Name, sealed)
	}
	return bridge, err
}

// checked is the bridge with its name lowered, or ErrInvalid.
func (b Bridge) checked() (Bridge, error) {
	b.Name = strings.ToLower(b.Name)
	if !bridgeName.MatchString(b.Name) {
		return Bridge{}, fmt.Errorf("the name must be 1 to 100 letters, digits, - or _: %w", ErrInvalid)
	}
	target, err := url.Parse(b.URL)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return Bridge{}, fmt.Errorf("the url must begin with http:// or https:// and name a host: %w", ErrInvalid)
	}
	return b, nil
}

// AddBridge stores a bridge and returns it with the name in lower case and the time of creation. It returns ErrExists
// if the name is taken, and ErrInvalid if the name or the URL is malformed.
func (d *Database) AddBridge(ctx context.Context, bridge Bridge) (Bridge, error) {
	added, err := bridge.checked()
	if err != nil {
		return Bridge{}, fmt.Errorf("add bridge %q: %w", bridge.Name, err)
	}
	added.CreatedAt = time.Now().UTC()
	sealed, err := d.seal(tableBridges, added.Name, added.URL)
	if err == nil {
		err = d.write(ctx, flushed, func(tx *transaction) error {
			result, err := tx.ExecContext(ctx,
				"INSERT INTO bridges ("+bridgeColumns+", clear_url) VALUES ($1, $2, $3, '') ON CONFLICT DO NOTHING",
				added.Name, sealed, nanosOf(added.CreatedAt))
			return existing(result, err)
		})
	}
	if err != nil {
		return Bridge{}, fmt.Errorf("add bridge %q: %w", added.Name, err)
	}
	return added, nil
}

// UpdateBridge gives a bridge another URL and returns it. It returns ErrNotFound if there is no such bridge, and
// ErrInvalid if the URL is malformed.
func (d *Database) UpdateBridge(ctx context.Context, bridge Bridge) (Bridge, error) {
	updated, err := bridge.checked()
	if err != nil {
		return Bridge{}, fmt.Errorf("update bridge %q: %w", bridge.Name, err)
	}
	var rows int64
	sealed, err := d.seal(tableBridges, updated.Name, updated.URL)
	if err == nil {
		rows, err = d.exec(ctx, flushed, "UPDATE bridges SET url = $2, clear_url = '' WHERE name = $1", updated.Name, sealed)
	}
	if err == nil && rows == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Bridge{}, fmt.Errorf("update bridge %q: %w", updated.Name, err)
	}
	return d.Bridge(ctx, updated.Name)
}

// Bridges returns all bridges by name.
func (d *Database) Bridges(ctx context.Context) ([]Bridge, error) {
	bridges, err := all(ctx, d, d.scanBridge, "SELECT "+bridgeColumns+" FROM bridges ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("list bridges: %w", err)
	}
	return bridges, nil
}

// Bridge returns one bridge, or ErrNotFound.
func (d *Database) Bridge(ctx context.Context, name string) (Bridge, error) {
	bridge, err := one(ctx, d, d.scanBridge, "SELECT "+bridgeColumns+" FROM bridges WHERE name = $1",
		strings.ToLower(name))
	if err != nil {
		return Bridge{}, fmt.Errorf("read bridge %q: %w", name, err)
	}
	return bridge, nil
}

// RemoveBridge removes a bridge. It returns ErrNotFound if there is no such bridge.
func (d *Database) RemoveBridge(ctx context.Context, name string) error {
	rows, err := d.exec(ctx, flushed, "DELETE FROM bridges WHERE name = $1", strings.ToLower(name))
	if err == nil && rows == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("remove bridge %q: %w", name, err)
	}
	return nil
}
