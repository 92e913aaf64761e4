package oracle

import (
	"context"
	"fmt"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
)

// verdictWait is how long Start waits for the plugins to refuse the job. A running plugin answers in milliseconds. One
// that is away does not delay the start, and its verdict is reported when it comes.
const verdictWait = 2 * time.Second

// object is one that plugins make for the job.
type object struct {
	maker   string // who makes it, in words
	created func(context.Context) error
}

func relayerObject(provider *relayerv1loophost.Provider) object {
	return object{"the relayer", func(ctx context.Context) error {
		_, err := provider.Created(ctx)
		return err
	}}
}

// verdict waits until the plugins have made the job's objects, or one refuses. If that takes longer, the objects are
// watched from then on, and a refusal fails the job where operators see it.
func (o *Oracle) verdict(ctx context.Context, objects ...object) error {
	ctx, cancel := context.WithTimeout(ctx, verdictWait)
	defer cancel()
	for _, object := range objects {
		absent := object.maker + " has not taken the job"
		refuses := func(err error) error { return fmt.Errorf("%s refuses the job: %w", object.maker, err) }
		err := object.created(ctx)
		if refused(err) {
			return refuses(err)
		}
		if err == nil {
			continue
		}
		o.logger.slog.Warn("a plugin has not accepted the job yet; the job runs when it does", "error", err)
		o.feed.Waits(absent, err.Error())
		o.work.Go(func() {
			err := object.created(o.ctx)
			if err != nil && o.ctx.Err() != nil {
				return // the job ends
			}
			o.feed.Waits(absent, "")
			if err != nil {
				o.logger.Error("a plugin refuses the job", commontypes.LogFields{"error": err})
				o.refuse(refuses(err).Error())
			}
		})
	}
	return nil
}

// refused reports whether an error is of a kind that another try in the same process does not fix: the runtime makes
// none.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists, codes.Unimplemented:
		return true
	default:
		return false
	}
}
