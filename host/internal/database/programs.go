package database

import (
	"context"
	"fmt"
)

// Program is what a plugin's program has said of itself. It is kept for as long as the plugin runs that program.
type Program struct {
	// Plugin is the plugin's name.
	Plugin string
	// Checksum is that of the program and its command.
	Checksum string
	// Kind is the kind of plugin that it is: relayer, product, median.
	Kind string
	// Description is what a relayer answers to DescribeRelayer, or a product to DescribeProduct, as a protobuf message;
	// empty of a median, which is asked nothing.
	Description []byte
}

const programColumns = "plugin, checksum, kind, description"

func scanProgram(row scanner) (Program, error) {
	var p Program
	err := row.Scan(&p.Plugin, &p.Checksum, &p.Kind, &p.Description)
	p.Description = bytesOf(p.Description)
	return p, err
}

// PutProgram stores what a plugin's program has said, in place of what was stored for that plugin.
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

// Program returns what the plugin's program has said, or ErrNotFound if it has another checksum or said nothing yet.
func (d *Database) Program(ctx context.Context, plugin, checksum string) (Program, error) {
	p, err := one(ctx, d, scanProgram,
		"SELECT "+programColumns+" FROM plugin_programs WHERE plugin = $1 AND checksum = $2", plugin, checksum)
	if err != nil {
		return Program{}, fmt.Errorf("read the description of plugin %q: %w", plugin, err)
	}
	return p, nil
}
