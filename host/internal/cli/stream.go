package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// opener opens a stream.
type opener[R any] func(context.Context, api) (*connect.ServerStreamForClient[R], error)

// watchStream prints a line for each message of a stream until the command ends. If a stream ends because its time is
// over, it is opened again.
func watchStream[R any, M interface {
	*R
	proto.Message
}](ctx context.Context, c *command, open opener[R], text func(M) string) error {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	for {
		opened := time.Now()
		err := receive(ctx, c, open, text)
		ended := err == nil || connect.CodeOf(err) == connect.CodeUnavailable && connect.IsWireError(err)
		switch {
		case ctx.Err() != nil, err == nil && time.Since(opened) < time.Minute:
			return nil // it was told to end
		case !ended || time.Since(opened) < time.Minute: // one that ends at once would be opened without end
			return explain(c.target.name(), err)
		}
	}
}

// receive prints the messages of a stream until it ends.
func receive[R any, M interface {
	*R
	proto.Message
}](ctx context.Context, c *command, open opener[R], text func(M) string) error {
	client, err := c.target.client(ctx)
	if err != nil {
		return err
	}
	stream, err := open(ctx, client)
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		if err := line(c, M(stream.Msg()), text); err != nil {
			return err
		}
	}
	return stream.Err()
}

// line prints a message of a stream.
func line[M proto.Message](c *command, m M, text func(M) string) error {
	if !c.json {
		lines := strings.Split(text(m), "\n")
		for at := range lines {
			lines[at] = cell(lines[at])
		}
		_, err := fmt.Fprintln(c.streams.Out, strings.Join(lines, "\n"))
		return err
	}
	v, err := document(m)
	if err != nil {
		return err
	}
	e := json.NewEncoder(c.streams.Out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
