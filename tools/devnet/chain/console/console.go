// Package console carries out what is written to the standard input of a program that runs a chain with feeds.
package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Console is how a program is told to configure its feeds.
type Console struct {
	In  io.Reader
	Out *json.Encoder
	// Feeds is how many there are; Configure configures one of them, from 0, and returns what is printed of it.
	Feeds     int
	Configure func(ctx context.Context, feed int) (any, error)
}

// Obey carries out lines until the input ends, ctx does or ended is closed, which is not an error.
func (c *Console) Obey(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(c.In); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case line, more := <-lines:
			if !more {
				return nil
			}
			if err := c.obey(ctx, line); err != nil {
				return err
			}
		}
	}
}

func (c *Console) obey(ctx context.Context, line string) error {
	word, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
	if word != "configure" {
		return fmt.Errorf("the line %q on the standard input is not a command; give \"configure N\"", line)
	}
	feed, err := strconv.Atoi(argument)
	if err != nil || feed < 0 || feed >= c.Feeds {
		return errors.New("configure wants the number of a feed, from 0 to " + strconv.Itoa(c.Feeds-1))
	}
	shown, err := c.Configure(ctx, feed)
	if err != nil {
		return err
	}
	return c.Out.Encode(shown)
}
