%% 0.3.1: code_change crashes on the way up: what OTP answers with a restart of the VM.
-module(shop_counter).
-behaviour(gen_server).
-vsn("3.1").
-export([start_link/0, bump/0, count/0, layout/0]).
-export([init/1, handle_call/3, handle_cast/2, code_change/3]).

%% On a busy machine a migration may take long.
-define(PATIENCE_MS, 60000).

-record(state, {count = 0, since}).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
bump() -> gen_server:call(?MODULE, bump, ?PATIENCE_MS).
count() -> gen_server:call(?MODULE, count, ?PATIENCE_MS).
layout() -> gen_server:call(?MODULE, layout, ?PATIENCE_MS).

init([]) -> {ok, #state{since = started}}.

handle_call(bump, _From, State = #state{count = Count}) -> {reply, Count + 1, State#state{count = Count + 1}};
handle_call(count, _From, State = #state{count = Count}) -> {reply, Count, State};
handle_call(layout, _From, State = #state{}) -> {reply, 2, State}.

handle_cast(_Message, State) -> {noreply, State}.

code_change({down, _To}, State, _Extra) ->
    shop_witness:code_changed(down),
    {ok, State};
code_change(_From, State, _Extra) ->
    error({cannot_migrate, State}).
