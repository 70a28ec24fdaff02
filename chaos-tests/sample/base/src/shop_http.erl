%% A small HTTP/1.1 server on gen_tcp, one request per connection. Acceptors and connections wait in
%% the runtime and not in this module for longer than one call, so that a load of the module finds
%% nobody in old code for long.
-module(shop_http).
-behaviour(gen_server).
-vsn("1").
-export([start_link/0, accept_loop/1, serve/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, code_change/3]).

-define(ACCEPTORS, 8).
-define(PATIENCE_MS, 10000).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

init([]) ->
    process_flag(trap_exit, true),
    {ok, Address} = inet:parse_address(os:getenv("LISTEN_IP", "127.0.0.1")),
    {ok, Listener} = gen_tcp:listen(port(), [binary, {ip, Address}, {packet, http_bin}, {active, false},
                                             {reuseaddr, true}, {backlog, 1024}]),
    [spawn_acceptor(Listener) || _ <- lists:seq(1, ?ACCEPTORS)],
    {ok, Listener}.

handle_call(_Request, _From, State) -> {reply, ok, State}.
handle_cast(_Message, State) -> {noreply, State}.

handle_info({'EXIT', _Acceptor, _Reason}, Listener) ->
    spawn_acceptor(Listener),
    {noreply, Listener};
handle_info(_Message, State) ->
    {noreply, State}.

code_change(_From, State, _Extra) -> {ok, State}.

port() ->
    case os:getenv("PORT") of
        false -> {ok, Port} = application:get_env(shop, port), Port;
        Text -> list_to_integer(Text)
    end.

spawn_acceptor(Listener) -> proc_lib:spawn_link(?MODULE, accept_loop, [Listener]).

accept_loop(Listener) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            Server = spawn(?MODULE, serve, [Socket]),
            _ = gen_tcp:controlling_process(Socket, Server),
            Server ! go,
            ?MODULE:accept_loop(Listener);
        {error, Reason} ->
            exit(Reason)
    end.

serve(Socket) ->
    receive go -> ok after ?PATIENCE_MS -> exit(normal) end,
    request(Socket, undefined).

request(Socket, Path) ->
    case gen_tcp:recv(Socket, 0, ?PATIENCE_MS) of
        {ok, {http_request, _Method, {abs_path, Asked}, _Version}} -> request(Socket, Asked);
        {ok, {http_header, _, _, _, _}} -> request(Socket, Path);
        {ok, http_eoh} -> answer(Socket, Path);
        _Broken -> gen_tcp:close(Socket)
    end.

answer(Socket, Path) ->
    {Status, Text} =
        try shop_routes:respond(Path)
        catch Class:Reason -> {500, io_lib:format("~p:~p~n", [Class, Reason])}
        end,
    Body = iolist_to_binary(Text),
    Head = io_lib:format("HTTP/1.1 ~b ~s\r\ncontent-type: application/json\r\ncontent-length: ~b\r\nconnection: close\r\n\r\n",
                         [Status, reason_phrase(Status), byte_size(Body)]),
    _ = gen_tcp:send(Socket, [Head, Body]),
    gen_tcp:close(Socket).

reason_phrase(200) -> "OK";
reason_phrase(404) -> "Not Found";
reason_phrase(500) -> "Internal Server Error".
