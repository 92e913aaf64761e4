package database

import (
	"context"
	"fmt"
)

// Program is what a plugin's program reports about itself. It is kept as long as the plugin runs that program.
type Program struct {
	// Plugin is the plugin's name.
	Plugin string
	// Checksum is the checksum of the program and its command.
	Checksum string
	// Kind is the kind of the plugin: relayer, product, median.
	Kind string
	// Description is a relayer's answer to DescribeRelayer, or a product's to DescribeProduct, as a protobuf message;
	// empty for a median, which is not asked.
	Description []byte
}

const programColumns = "plugin, checksum, kind, description"

func scanProgram(row scanner) (Program, error) {
	var p Program
	err := row.Scan(&p.Plugin, &p.Checksum, &p.Kind, &p.Description)
	p.Description = bytesOf(p.Description)
	return p, err
}

// PutProgram stores what a plugin's program reports, and replaces what was stored for that plugin.
func (d *Database) PutProgram(ctx context.Context, p Program) error {
	_, err := d.exec(ctx, buffered,
		"INSERT INTO plugin_programs ("+programColumns+`) VALUES ($1, $2, $3, $4)
		ON CONFLICT (plugin) DO UPDATE SET checksum = excluded.checksum, kind = excluded.kind, description = excluded.description`,
		p.Plugin, p.Checksum, p.Kind, bytesOf(p.Description))
	if err != nil {
		return fmt.Errorf("store the description of plugin %q: %w", p.Plugin, err)
	}
	return nil
}

// Program returns what the plugin's program reported, or ErrNotFound if the stored report has another checksum or there
// is none.
func (d *Database) Program(ctx context.Context, plugin, checksum string) (Program, error) {
	p, err := one(ctx, d, scanProgram,
		"SELECT "+programColumns+" FROM plugin_programs WHERE plugin = $1 AND checksum = $2", plugin, checksum)
	if err != nil {
		return Program{}, fmt.Errorf("read the description of plugin %q: %w", plugin, err)
	}
	return p, nil
}
