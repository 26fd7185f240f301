// Calls the test service with grpc-go in every cardinality; prints "ok" or what went wrong.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "/trellis.test.Echo/"

func check(what string, ok bool, found any) {
	if !ok {
		fmt.Printf("%s: %v\n", what, found)
		os.Exit(1)
	}
}

func main() {
	channel, err := grpc.NewClient(os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	check("channel", err == nil, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	echo := func(ctx context.Context, payload []byte, options ...grpc.CallOption) ([]byte, error) {
		reply := &wrapperspb.BytesValue{}
		err := channel.Invoke(ctx, service+"Echo", wrapperspb.Bytes(payload), reply, options...)
		return reply.GetValue(), err
	}

	for _, size := range []int{0, 1, 1 << 20, 3 << 20, 8 << 20} {
		reply, err := echo(ctx, make([]byte, size))
		check("unary", err == nil && len(reply) == size, err)
	}
	reply, err := echo(ctx, make([]byte, 1<<20), grpc.UseCompressor(gzip.Name))
	check("gzip", err == nil && len(reply) == 1<<20, err)

	_, err = echo(ctx, []byte("invalid"))
	check("status", status.Code(err) == codes.InvalidArgument, err)
	short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	_, err = echo(short, []byte("forever"))
	stop()
	check("deadline", status.Code(err) == codes.DeadlineExceeded, err)

	var initial, trailing metadata.MD
	sent := metadata.AppendToOutgoingContext(ctx, "x-blob-bin", "\x00\xff", "x-text", "a b")
	_, err = echo(sent, []byte("metadata"), grpc.Header(&initial), grpc.Trailer(&trailing))
	check("metadata", err == nil && initial.Get("x-initial")[0] == "first" &&
		trailing.Get("x-blob-bin")[0] == "\x00\xff", trailing)

	var waiting sync.WaitGroup
	for range 500 {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			reply, err := echo(ctx, []byte("sleep 0.01"))
			check("concurrent", err == nil && string(reply) == "sleep 0.01", err)
		}()
	}
	waiting.Wait()

	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	many, err := channel.NewStream(ctx, both, service+"Many")
	check("many", err == nil, err)
	check("many", many.SendMsg(wrapperspb.Bytes([]byte("100 1000000"))) == nil, "send")
	check("many", many.CloseSend() == nil, "close")
	total := 0
	for {
		message := &wrapperspb.BytesValue{}
		if err = many.RecvMsg(message); err == io.EOF {
			break
		}
		check("many", err == nil, err)
		total += len(message.Value)
	}
	check("many", total == 100_000_000, total)

	collect, err := channel.NewStream(ctx, both, service+"Collect")
	check("collect", err == nil, err)
	for range 100 {
		check("collect", collect.SendMsg(wrapperspb.Bytes(make([]byte, 1_000_000))) == nil, "send")
	}
	check("collect", collect.CloseSend() == nil, "close")
	sum := &wrapperspb.BytesValue{}
	err = collect.RecvMsg(sum)
	check("collect", err == nil && string(sum.Value) == "100000000", err)

	leaving, leave := context.WithCancel(ctx)
	converse, err := channel.NewStream(leaving, both, service+"Converse")
	check("converse", err == nil, err)
	for number := range 100 {
		word := []byte(fmt.Sprint(number))
		check("converse", converse.SendMsg(wrapperspb.Bytes(word)) == nil, "send")
		answer := &wrapperspb.BytesValue{}
		err = converse.RecvMsg(answer)
		check("converse", err == nil && bytes.Equal(answer.Value, word), err)
	}
	leave()
	reply, err = echo(ctx, []byte("again"))
	check("after leaving", err == nil && string(reply) == "again", err)
	fmt.Println("ok")
}
