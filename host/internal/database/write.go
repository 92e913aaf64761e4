package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// mostTogether is how many writes share a transaction at most, so that the first of them does not wait for long.
const mostTogether = 64

// queue has the writes that wait for the connection. The writer whose turn it is makes all of them.
type queue struct {
	turn chan struct{} // holds one while nobody writes

	mu      sync.Mutex
	waiting []*pending

	// These belong to the turn.
	statements statements
	conn       any        // the driver's connection whose durability is known
	level      durability // that it has
	commits    atomic.Uint64
}

func newQueue() *queue {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return &queue{turn: turn}
}

// pending is a write that waits.
type pending struct {
	ctx    context.Context
	level  durability
	change func(tx *transaction) error
	done   chan error // has room for the outcome
}

// write runs change in a transaction of the given durability, which it may share with other writes. If change fails, or
// if ctx ends before its turn, its statements are undone. So an error means that nothing was written, except for an
// error of the disk.
func (d *Database) write(ctx context.Context, level durability, change func(tx *transaction) error) (err error) {
	defer func() { d.note(&d.writes, err) }()
	p := &pending{ctx: ctx, level: level, change: change, done: make(chan error, 1)}
	q := d.queue
	q.mu.Lock()
	q.waiting = append(q.waiting, p)
	q.mu.Unlock()
	for {
		select {
		case err := <-p.done:
			return err
		case <-q.turn:
			err := d.together(ctx)
			q.turn <- struct{}{}
			if err != nil && q.leave(p) {
				return err
			}
		case <-ctx.Done():
			if q.leave(p) {
				return ctx.Err()
			}
			return <-p.done // it is being written
		}
	}
}

func (q *queue) isEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

// needs is the durability that the waiting writes need.
func (q *queue) needs() durability {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.waiting {
		if p.level == flushed {
			return flushed
		}
	}
	return buffered
}

// take takes the waiting writes that need at most a durability, up to the size of one transaction.
func (q *queue) take(level durability) (taken []*pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var rest []*pending
	for _, p := range q.waiting {
		if len(taken) < mostTogether && (level == flushed || p.level == level) {
			taken = append(taken, p)
		} else {
			rest = append(rest, p)
		}
	}
	q.waiting = rest
	return taken
}

// leave withdraws a write, and tells whether it still waited.
func (q *queue) leave(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, waiting := range q.waiting {
		if waiting == p {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// together begins a transaction within the time of ctx, makes all writes that wait by then in it, and tells each its
// result. If it returns an error, the transaction did not begin, and no write was taken.
func (d *Database) together(ctx context.Context) error {
	q := d.queue
	if q.isEmpty() { // another had the turn in between
		return nil
	}
	conn, err := d.writer.Conn(ctx)
	if err != nil {
		return err
	}
	level := q.needs()
	tx, err := q.begin(ctx, conn, level)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	all := q.take(level)
	outcomes, err := tx.commit(all)
	_ = conn.Close() // returns the connection to the pool; its error repeats that of the commit
	for i, p := range all {
		if err != nil {
			outcomes[i] = err
		}
		p.done <- outcomes[i]
	}
	for _, query := range tx.fresh {
		_, _ = q.statements.prepared(context.WithoutCancel(ctx), d.writer, query) // else it is parsed the next time too
	}
	return nil
}

// begin begins a transaction. It does not end with ctx, whose writes are not all of it.
func (q *queue) begin(ctx context.Context, conn *sql.Conn, level durability) (*transaction, error) {
	if err := q.set(ctx, conn, level); err != nil {
		return nil, err
	}
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	detach := context.AfterFunc(ctx, cancel)
	begun, err := conn.BeginTx(lasting, nil)
	if !detach() {
		if err == nil {
			_ = begun.Rollback() // nothing was written
		}
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &transaction{tx: begun, end: cancel, queue: q}, nil
}

// set sets the durability of the connection, which keeps it. Writes of both durabilities share the connection, and it
// may have been replaced since the last write.
func (q *queue) set(ctx context.Context, conn *sql.Conn, level durability) error {
	var of any
	if err := conn.Raw(func(c any) error { of = c; return nil }); err != nil {
		return err
	}
	if of == q.conn && level == q.level {
		return nil
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = "+string(level)); err != nil {
		return err
	}
	q.conn, q.level = of, level
	return nil
}

// transaction runs the statements of a change. They are parsed once. They run to their end even if their context ends
// first: otherwise SQLite would undo the whole transaction, with the writes of others.
type transaction struct {
	tx    *sql.Tx
	end   func()
	queue *queue
	fresh []string // queries that were parsed
}

// commit makes all changes, and returns the result of each. An error is that of all of them.
func (t *transaction) commit(all []*pending) (outcomes []error, err error) {
	defer t.end()
	defer t.tx.Rollback() // after the commit this does nothing
	outcomes = make([]error, len(all))
	for i, p := range all {
		if len(all) == 1 {
			if err := t.run(p); err != nil {
				return outcomes, err
			}
			break
		}
		if outcomes[i], err = t.apart(context.WithoutCancel(p.ctx), p); err != nil {
			return outcomes, err
		}
	}
	t.queue.commits.Add(1)
	return outcomes, t.tx.Commit()
}

func (t *transaction) run(p *pending) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if err := p.change(t); err != nil {
		return missingJob(err)
	}
	return p.ctx.Err()
}

// apart makes a change that can be undone by itself. An error is that of the transaction.
func (t *transaction) apart(ctx context.Context, p *pending) (outcome, err error) {
	if _, err := t.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return nil, err
	}
	if outcome = t.run(p); outcome != nil {
		if _, err := t.ExecContext(ctx, "ROLLBACK TO one"); err != nil {
			return nil, errors.Join(outcome, fmt.Errorf("take it back: %w", err))
		}
	}
	_, err = t.ExecContext(ctx, "RELEASE one")
	return outcome, err
}

// ExecContext runs a statement.
func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if statement := t.queue.statements.known(query); statement != nil {
		return t.tx.StmtContext(ctx, statement).ExecContext(ctx, args...)
	}
	t.fresh = append(t.fresh, query)
	return t.tx.ExecContext(ctx, query, args...)
}

// QueryContext reads rows. Use it for rare queries, since it parses the query each time.
func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(context.WithoutCancel(ctx), query, args...)
}

// QueryRowContext reads a row.
func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	if statement := t.queue.statements.known(query); statement != nil {
		return t.tx.StmtContext(ctx, statement).QueryRowContext(ctx, args...)
	}
	t.fresh = append(t.fresh, query)
	return t.tx.QueryRowContext(ctx, query, args...)
}

// statements are queries as SQLite has parsed them. There are as many as this package has, and they end with their
// connections.
type statements struct{ parsed sync.Map }

func (s *statements) known(query string) *sql.Stmt {
	statement, _ := s.parsed.Load(query)
	known, _ := statement.(*sql.Stmt)
	return known
}

// prepared parses a query unless that was done before.
func (s *statements) prepared(ctx context.Context, db *sql.DB, query string) (*sql.Stmt, error) {
	if known := s.known(query); known != nil {
		return known, nil
	}
	made, err := db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if kept, other := s.parsed.LoadOrStore(query, made); other {
		_ = made.Close()
		return kept.(*sql.Stmt), nil
	}
	return made, nil
}
